/// Which keys are meant: a kind and a text, such as `under:layer1`.
///
/// | kind | matches a key that |
/// | --- | --- |
/// | `in:` (default) | contains the text |
/// | `is:` | is the text |
/// | `under:` | is the text or begins with it and a dot |
/// | `glob:` | matches it whole; `*` stays inside a dotted part, `**` crosses dots; `?`, `[a-z]`, `{a,b}` |
/// | `re:` | has a match of the regular expression in it, as Python's `re.search` finds it |
public struct KeyPattern: Sendable, Hashable {
  /// How the text is compared.
  public enum Kind: String, Sendable, CaseIterable {
    case contains = "in"
    case equals = "is"
    case under, glob
    case regex = "re"
  }

  /// How the text is compared.
  public let kind: Kind
  /// What keys are compared with.
  public let text: String

  /// A pattern of a kind.
  ///
  /// - Throws: `StateDictError.badPattern` for a text that the kind cannot understand.
  public init(_ kind: Kind, _ text: String) throws(StateDictError) {
    self.kind = kind
    self.text = text
    _ = try matcher()
  }

  /// The pattern that the command line would write so.
  public init(_ written: String) throws(StateDictError) {
    let colon = written.firstIndex(of: ":")
    if let colon, let kind = Kind(rawValue: String(written[..<colon])) {
      do throws(StateDictError) {
        try self.init(kind, String(written[written.index(after: colon)...]))
      } catch {
        throw error.within(written, after: kind.rawValue.unicodeScalars.count + 1)
      }
    } else {
      try self.init(.contains, written)
    }
  }

  /// As the command line would write it.
  public var written: String { "\(kind.rawValue):\(text)" }

  /// Whether one of the keys matches.
  public func matchesAny(of keys: [String]) throws(StateDictError) -> Bool {
    let matches = try matcher()
    return keys.contains(where: matches)
  }

  /// What tells whether a key matches; made once for many keys.
  public func matcher() throws(StateDictError) -> (String) -> Bool {
    let bytes = Array(text.utf8)
    switch kind {
    case .contains: return { $0.utf8.firstRange(of: bytes, from: 0) != nil || bytes.isEmpty }
    case .equals: return { $0.utf8.elementsEqual(bytes) }
    case .under:
      return { key in
        key.utf8.starts(with: bytes)
          && (key.utf8.count == bytes.count || key.utf8.starts(with: bytes + [0x2E]))
      }
    case .glob:
      let globs = try Glob.alternatives(of: text)
      return { key in globs.contains { $0.matches(key) } }
    case .regex:
      let regex = try KeyRegex(text)
      return { regex.isFound(in: $0) }
    }
  }
}

extension String.UTF8View {
  /// Where `bytes` occur first, counted from the front, at or behind `start`; nil for no bytes.
  func firstRange(of bytes: [UInt8], from start: Int) -> Range<Int>? {
    guard let first = bytes.first else { return nil }
    let own = Array(self)
    var place = start
    while place + bytes.count <= own.count {
      if own[place] == first, own[place..<place + bytes.count].elementsEqual(bytes) {
        return place..<place + bytes.count
      }
      place += 1
    }
    return nil
  }
}
