public import CkptPlatform
public import CkptTensors

/// An edit of a state dict that is impossible, and why.
public enum StateDictError: Diagnostic, Equatable {
  /// Renaming would give several values one key: the new key and the old ones.
  case keysCollide([Collision])
  /// Renaming would leave nothing of these keys.
  case keysVanish([String])
  /// A tensor that cannot become one of another type.
  case cannotConvert(key: String, to: DType, String)
  /// A state dict cannot take the place of parts of another: everything that stands in the way.
  case cannotUpdate(missing: [String], mismatched: [ShapeMismatch])

  /// Several keys that an edit would give one name.
  public struct Collision: Sendable, Hashable {
    /// The name that all of them would get.
    public let new: String
    /// The current names.
    public let old: [String]

    /// `old` would become `new`.
    public init(new: String, old: [String]) {
      self.new = new
      self.old = old
    }
  }

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .keysCollide(let all): ErrorContext(keys: all.flatMap(\.old))
    case .keysVanish(let keys): ErrorContext(keys: keys)
    case .cannotConvert(let key, _, _): ErrorContext(keys: [key])
    case .cannotUpdate(let missing, let mismatched):
      ErrorContext(keys: missing + mismatched.map(\.key))
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .keysCollide(let all):
      "renaming gives several values one key: "
        + all.map { "\($0.old.joined(separator: " and ")) become \($0.new)" }
        .joined(separator: "; ")
    case .keysVanish(let keys):
      "renaming leaves nothing of a key (" + keys.map { "\"\($0)\"" }.joined(separator: ", ") + ")"
    case .cannotConvert(let key, let type, let problem):
      "cannot convert to \(type.name): \(problem) (key \"\(key)\")"
    case .cannotUpdate(let missing, let mismatched):
      [
        missing.isEmpty ? nil : "not in the base: " + missing.joined(separator: ", "),
        mismatched.isEmpty
          ? nil : "other shapes: " + mismatched.map(\.description).joined(separator: ", "),
      ].compactMap(\.self).joined(separator: "; ")
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .cannotConvert: ["\(.excludeFromCast) leaves a key as it is"]
    case .keysCollide: ["narrow the rules, or filter one of the keys away first"]
    case .keysVanish: ["\(.exclude) leaves the keys out"]
    case .cannotUpdate(let missing, let mismatched):
      (missing.isEmpty ? [] : ["\(.allowNew) takes keys that the base lacks"])
        + (mismatched.isEmpty
          ? []
          : ["\(.skipMismatched) keeps the base's value, \(.resize) KEY=MODE makes one fit"])
    }
  }
}

/// A key whose tensors have different shapes in two state dicts.
public struct ShapeMismatch: Sendable, Hashable, CustomStringConvertible {
  /// The key.
  public let key: String
  /// The shape that is required; nil for a value that is not a tensor.
  public let expected: [Int]?
  /// The shape that was found; nil for a value that is not a tensor.
  public let found: [Int]?

  /// A mismatch between the required and the found shape of `key`.
  public init(key: String, expected: [Int]?, found: [Int]?) {
    self.key = key
    self.expected = expected
    self.found = found
  }

  /// The key and both shapes.
  public var description: String {
    func text(_ shape: [Int]?) -> String { shape.map { "\($0)" } ?? "no tensor" }
    return "\(key) (\(text(found)) for \(text(expected)))"
  }
}
