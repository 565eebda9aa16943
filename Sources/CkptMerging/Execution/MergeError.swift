public import CkptPlatform

/// The reason why inputs cannot be merged.
public enum MergeError: Diagnostic, Equatable {
  /// Keys, shapes or types that do not fit each other: all of them.
  case cannotMerge([Mismatch])
  /// A method that does not take so many inputs, or no base.
  case wrongInputs(method: String, problem: String)
  /// A parameter that is missing, or has a value that makes no sense.
  case badParameter(name: String, problem: String)
  /// As many values as inputs are needed.
  case wrongCount(name: String, found: Int, needed: Int)
  /// Inputs hold NaN: all places.
  case notNumbers([NaNs])
  /// Numbers that are none came of infinities in a tensor.
  case madeNaN(key: String)
  /// Values that cannot be merged, and of which the inputs have different ones: all of them.
  case unmergeable([KeptValue])
  /// A method that ranks along rows met one that is too long for memory.
  case rowTooLong(Int, limit: Int)
  /// A method that looks at rows or columns met too many.
  case tooManyVectors(Int, limit: Int)
  /// The weighted sum of directions is zero, so there is none to merge into.
  case noMean
  /// A recipe that cannot be understood or asks for what is not supported.
  case badRecipe(file: String, path: String, problem: String, hint: Remedy?)
  /// Adapter weights that do not fit the base: all of them.
  case badAdapter([String], hint: Remedy?)
  /// What an adapter's configuration asks for and cannot be had, by field.
  case badConfiguration(source: String, problems: [String])
  /// Nothing says by how much an adapter's products count.
  case noScale(adapter: String, modules: [String])
  /// What training took out of a base's weight cannot be told from the rest.
  case unclearChange(key: String)

  /// A mismatch between inputs.
  public enum Mismatch: Sendable, Hashable, CustomStringConvertible {
    /// An input lacks a key.
    case missing(key: String, input: String)
    /// An input has a key that the base lacks.
    case unexpected(key: String, input: String)
    /// Another shape than the base's.
    case shape(key: String, input: String, expected: [Int], found: [Int])
    /// Another element type than the base's.
    case dtype(key: String, input: String, expected: String, found: String)
    /// Not a tensor with elements.
    case noElements(key: String, input: String)

    /// The mismatch on one line.
    public var description: String {
      switch self {
      case .missing(let key, let input): "\(key) is missing (\(input))"
      case .unexpected(let key, let input): "\(key) is not in the base (\(input))"
      case .shape(let key, let input, let expected, let found):
        "\(key) is \(found) for \(expected) (\(input))"
      case .dtype(let key, let input, let expected, let found):
        "\(key) is \(found) for \(expected) (\(input))"
      case .noElements(let key, let input): "\(key) has no elements that could be merged (\(input))"
      }
    }
  }

  /// NaN in a tensor of an input.
  public struct NaNs: Sendable, Hashable {
    /// The tensor.
    public let key: String
    /// The input.
    public let input: String
    /// How many elements are NaN.
    public let count: Int
  }

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    switch self {
    case .wrongInputs, .badParameter, .wrongCount: .usage
    default: .badInput
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .cannotMerge(let mismatches):
      "the inputs do not fit each other: " + mismatches.map(\.description).joined(separator: "; ")
    case .wrongInputs(let method, let problem): "\(method) \(problem)"
    case .badParameter(let name, let problem): "\(name) \(problem)"
    case .wrongCount(let name, let found, let needed):
      "\(found) values of \(name) for \(needed) inputs"
    case .notNumbers(let all):
      "the inputs hold NaN: "
        + all.map { "\($0.key) (\($0.count) elements, \($0.input))" }.joined(separator: "; ")
    case .madeNaN(let key): "\(key) would hold NaN: the inputs hold infinities"
    case .unmergeable(let all):
      "there is no way to merge these, and the inputs differ: "
        + all.map { "\($0.key) (\($0.what), \($0.inputs.joined(separator: ", ")))" }
        .joined(separator: "; ")
    case .rowTooLong(let length, let limit):
      "the method ranks along rows of \(length) elements; at most \(limit) are supported"
    case .tooManyVectors(let count, let limit):
      "the method looks at \(count) rows or columns; at most \(limit) are supported"
    case .noMean: "the weighted directions of the inputs cancel out, so they have no mean"
    case .badRecipe(let file, let path, let problem, _):
      "\(problem) (\(file)\(path.isEmpty ? "" : ", at " + path))"
    case .badAdapter(let problems, _):
      "the adapter does not fit the base: " + problems.joined(separator: "; ")
    case .badConfiguration(let source, let problems):
      "the adapter's configuration: " + problems.joined(separator: "; ") + " (\(source))"
    case .noScale(let adapter, let modules):
      "no alpha says how much the products count: " + modules.prefix(5).joined(separator: ", ")
        + (modules.count > 5 ? " and \(modules.count - 5) more" : "") + " (\(adapter))"
    case .unclearChange(let key):
      "init_lora_weights took the part of the largest singular values out of \(key), and the "
        + "last of them cannot be told from the next"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .cannotMerge(let mismatches):
      if mismatches.contains(where: { if case .dtype = $0 { true } else { false } }) {
        [
          "\(.convert(to: nil)) merges inputs of different types",
          "\(.exclude) leaves keys as the base has them",
        ]
      } else {
        ["\(.select) choose what is merged; other keys stay as the base has them"]
      }
    case .notNumbers: ["\(.keepNaN) merges them all the same"]
    case .madeNaN:
      [
        "\(.keepNaN) writes them all the same", "\(.exclude) leaves keys as the base has them",
      ]
    case .unmergeable: ["\(.keepUnmergeable) keeps what the first file has"]
    case .rowTooLong, .tooManyVectors: ["\(.exclude) leaves keys as the base has them"]
    case .noMean: ["choose other weights"]
    case .badRecipe(_, _, _, let hint), .badAdapter(_, let hint): [hint].compactMap(\.self)
    case .noScale: ["\(.scale) says it, such as 1"]
    default: []
    }
  }
}
