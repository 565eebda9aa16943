public import Platform

/// What cannot be done with a state dict, and why.
public enum StateDictError: Diagnostic, Equatable {
  /// A pattern that cannot be understood.
  case badPattern(String, problem: String)
  /// A rename rule that cannot be understood.
  case badRename(String, problem: String)
  /// Renaming would give several values one key: the new key and the old ones.
  case keysCollide([Collision])
  /// Renaming would leave nothing of a key.
  case keyVanishes(String)
  /// A state dict cannot take the place of parts of another: everything that stands in the way.
  case cannotUpdate(missing: [String], mismatched: [ShapeMismatch])

  /// Keys that would become one.
  public struct Collision: Sendable, Hashable {
    /// What they would become.
    public let new: String
    /// What they are now.
    public let old: [String]
  }

  /// How scripts tell it apart.
  public var kind: DiagnosticKind {
    switch self {
    case .badPattern, .badRename: .usage
    default: .badInput
    }
  }

  /// What is wrong and where, on one line.
  public var description: String {
    switch self {
    case .badPattern(let text, let problem): "\(problem) (pattern \"\(text)\")"
    case .badRename(let text, let problem): "\(problem) (rename \"\(text)\")"
    case .keysCollide(let all):
      "renaming gives several values one key: "
        + all.map { "\($0.old.joined(separator: " and ")) become \($0.new)" }
        .joined(separator: "; ")
    case .keyVanishes(let key): "renaming leaves nothing of a key (key \"\(key)\")"
    case .cannotUpdate(let missing, let mismatched):
      [
        missing.isEmpty ? nil : "not in the base: " + missing.joined(separator: ", "),
        mismatched.isEmpty
          ? nil : "other shapes: " + mismatched.map(\.description).joined(separator: ", "),
      ].compactMap(\.self).joined(separator: "; ")
    }
  }

  /// What to do about it.
  public var hint: String? {
    switch self {
    case .badPattern: "a pattern is in:TEXT, is:TEXT, under:TEXT, glob:TEXT or re:TEXT"
    case .keysCollide: "narrow the rules, or filter one of the keys away first"
    case .cannotUpdate(let missing, let mismatched):
      [
        missing.isEmpty ? nil : "--allow-new takes keys that the base lacks",
        mismatched.isEmpty ? nil : "--skip-mismatched keeps the base's value",
      ].compactMap(\.self).joined(separator: "; ")
    default: nil
    }
  }
}

/// A key whose value has another shape on either side.
public struct ShapeMismatch: Sendable, Hashable, CustomStringConvertible {
  /// The key.
  public let key: String
  /// The shape that must be; nil for a value that is no tensor.
  public let expected: [Int]?
  /// The shape that is.
  public let found: [Int]?

  /// The key and both shapes.
  public var description: String {
    func text(_ shape: [Int]?) -> String { shape.map { "\($0)" } ?? "no tensor" }
    return "\(key) (\(text(found)) for \(text(expected)))"
  }
}
