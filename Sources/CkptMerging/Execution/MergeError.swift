public import CkptPlatform

/// The reason why inputs cannot be merged.
public enum MergeError: Diagnostic, Equatable {
  /// Keys, shapes, or element types do not match; lists every mismatch.
  case cannotMerge([Mismatch])
  /// The method does not take this number of inputs, or its base is missing.
  case wrongInputs(method: String, problem: String)
  /// A parameter is missing or its value is invalid.
  case badParameter(name: String, problem: String)
  /// A list of values has the wrong length: one value per input is needed.
  case wrongCount(name: String, found: Int, needed: Int)
  /// Inputs contain NaN; lists every tensor.
  case notNumbers([NaNs])
  /// Infinities in a tensor's inputs would produce NaN.
  case madeNaN(key: String)
  /// Values that cannot be merged differ between the inputs; lists all of them.
  case unmergeable([KeptValue])
  /// A row is longer than a method that ranks along rows supports.
  case rowTooLong(Int, limit: Int)
  /// A tensor has more rows or columns than a method that works on them supports.
  case tooManyVectors(Int, limit: Int)
  /// The weighted sum of the inputs' directions is zero, so their mean is undefined.
  case noMean
  /// A recipe is invalid or asks for something unsupported; `path` is the place in the recipe.
  case badRecipe(file: String, path: String, problem: String, hint: Remedy?)
  /// Adapter weights do not fit the base; lists all problems.
  case badAdapter([String], hint: Remedy?)
  /// An adapter's configuration asks for something unsupported or has invalid values; lists all
  /// problems by field.
  case badConfiguration(source: String, problems: [String])
  /// No `alpha` or configuration gives the scale of an adapter's products.
  case noScale(adapter: String, modules: [String])
  /// The part that initialization took out of a base's weight (`pissa`) is not well defined,
  /// because singular values are too close.
  case unclearChange(key: String)

  /// A mismatch between inputs.
  public enum Mismatch: Sendable, Hashable, CustomStringConvertible {
    /// An input lacks a key.
    case missing(key: String, input: String)
    /// An input has a key that the base does not have.
    case unexpected(key: String, input: String)
    /// The shape differs from the base's.
    case shape(key: String, input: String, expected: [Int], found: [Int])
    /// Another element type than the base's.
    case dtype(key: String, input: String, expected: String, found: String)
    /// Not a tensor with elements.
    case noElements(key: String, input: String)

    /// The key.
    public var key: String {
      switch self {
      case .missing(let key, _), .unexpected(let key, _), .shape(let key, _, _, _),
        .dtype(let key, _, _, _), .noElements(let key, _):
        key
      }
    }

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

  /// The NaN elements of one tensor.
  public struct NaNs: Sendable, Hashable {
    /// The tensor's key.
    public let key: String
    /// The input's name.
    public let input: String
    /// The number of NaN elements.
    public let count: Int
  }

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    switch self {
    case .wrongInputs, .badParameter, .wrongCount: .usage
    default: .badInput
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .cannotMerge(let mismatches): ErrorContext(keys: mismatches.map(\.key))
    case .notNumbers(let all): ErrorContext(keys: all.map(\.key))
    case .madeNaN(let key), .unclearChange(let key): ErrorContext(keys: [key])
    case .unmergeable(let all): ErrorContext(keys: all.map(\.key))
    case .badRecipe(let file, let path, _, _): ErrorContext(file: file, object: path)
    case .badConfiguration(let source, _): ErrorContext(file: source)
    case .noScale(let adapter, _): ErrorContext(file: adapter)
    default: ErrorContext()
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
