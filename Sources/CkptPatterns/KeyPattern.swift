internal import CkptText

/// A pattern for keys: a kind and a text, such as `under:layer1`.
///
/// | kind | matches a key that |
/// | --- | --- |
/// | `in:` (default) | contains the text |
/// | `is:` | is the text |
/// | `under:` | is the text or begins with it and a dot |
/// | `glob:` | matches the glob; `*` stays in a part, `**` crosses dots; `?`, `[a-z]`, `{a,b}` |
/// | `re:` | has a match of the regular expression in it, as Python's `re.search` finds it |
public struct KeyPattern: Sendable, Hashable {
  /// The kind of comparison.
  public enum Kind: String, Sendable, CaseIterable {
    case contains = "in"
    case equals = "is"
    case under, glob
    case regex = "re"
  }

  /// The kind of comparison.
  public let kind: Kind
  /// The text that keys are compared with.
  public let text: String
  private let compiled: Compiled

  private enum Compiled: Sendable {
    case bytes([UInt8])
    case globs([Glob])
    case regex(KeyRegex)
  }

  /// Creates a pattern.
  ///
  /// - Throws: ``PatternError`` if the text is invalid for the kind.
  public init(_ kind: Kind, _ text: String) throws(PatternError) {
    self.kind = kind
    self.text = text
    switch kind {
    case .contains, .equals, .under: compiled = .bytes(Array(text.utf8))
    case .glob: compiled = .globs(try Glob.alternatives(of: text))
    case .regex: compiled = .regex(try KeyRegex(text))
    }
  }

  /// Patterns are equal if their kind and text are.
  public static func == (left: KeyPattern, right: KeyPattern) -> Bool {
    left.kind == right.kind && left.text.isExactly(right.text)
  }

  /// Hashes the kind and the text.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(kind)
    hasher.combine(ExactText(text))
  }

  /// Parses a pattern such as `under:layer1`. The default kind is `in:`.
  ///
  /// - Throws: ``PatternError`` if the text is invalid for the kind.
  public init(_ written: String) throws(PatternError) {
    let colon = written.firstIndex(of: ":")
    if let colon, let kind = Kind(rawValue: String(written[..<colon])) {
      do throws(PatternError) {
        try self.init(kind, String(written[written.index(after: colon)...]))
      } catch {
        throw error.within(written, after: kind.rawValue.unicodeScalars.count + 1)
      }
    } else {
      try self.init(.contains, written)
    }
  }

  /// The pattern as text, such as `under:layer1`.
  public var written: String { "\(kind.rawValue):\(text)" }

  /// Whether the pattern matches one of the keys.
  public func matchesAny(of keys: [String]) -> Bool { keys.contains(where: matches) }

  /// Whether the pattern matches the key.
  public func matches(_ key: String) -> Bool {
    switch compiled {
    case .bytes(let bytes):
      let key = key.utf8
      switch kind {
      case .contains: return bytes.isEmpty || key.firstRange(of: bytes, from: 0) != nil
      case .under:
        guard key.starts(with: bytes) else { return false }
        return key.count == bytes.count || key.dropFirst(bytes.count).first == UInt8(ascii: ".")
      default: return key.elementsEqual(bytes)
      }
    case .globs(let globs): return globs.contains { $0.matches(key) }
    case .regex(let regex): return regex.isFound(in: key)
    }
  }
}
