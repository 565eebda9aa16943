/// Parses the Python literals that NumPy writes: a dict with a string (or a list), a bool, and a
/// tuple of ints.
struct NumpyLiteral {
  /// The dtype; nil if it is a list of fields.
  private(set) var descr: String?
  private(set) var isFortranOrder = false
  private(set) var shape: [Int] = []

  private var rest: ArraySlice<UInt8>

  /// NumPy's maximum number of dimensions.
  private static let rankLimit = 64

  init?(_ text: ArraySlice<UInt8>) {
    rest = text
    guard take("{") else { return nil }
    var seen: Set<String> = []
    while !take("}") {
      guard let key = string(), seen.insert(key).inserted, take(":") else { return nil }
      switch key {
      case "descr":
        if next() == UInt8(ascii: "[") {
          guard skipList() else { return nil }
        } else {
          guard let text = string() else { return nil }
          descr = text
        }
      case "fortran_order":
        if take("True") { isFortranOrder = true } else if !take("False") { return nil }
      case "shape":
        guard let sizes = tuple() else { return nil }
        shape = sizes
      default: return nil
      }
      if !take(",") {
        guard take("}") else { return nil }
        break
      }
    }
    guard seen.count == 3, next() == nil else { return nil }
  }

  /// The next byte after blanks.
  private mutating func next() -> UInt8? {
    rest = rest.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x09 || $0 == 0x0D }
    return rest.first
  }

  private mutating func take(_ token: String) -> Bool {
    _ = next()
    guard rest.starts(with: token.utf8) else { return false }
    rest = rest.dropFirst(token.utf8.count)
    return true
  }

  /// Parses a string in quotes, without escapes.
  private mutating func string() -> String? {
    guard let quote = next(), quote == 0x27 || quote == 0x22 else { return nil }
    rest = rest.dropFirst()
    guard let end = rest.firstIndex(of: quote) else { return nil }
    let text = rest[..<end]
    rest = rest[(end + 1)...]
    guard !text.contains(UInt8(ascii: "\\")) else { return nil }
    return String(validating: text, as: UTF8.self)
  }

  private mutating func integer() -> Int? {
    _ = next()
    let digits = rest.prefix { (0x30...0x39).contains($0) }
    guard !digits.isEmpty, let value = Int(String(decoding: digits, as: UTF8.self)) else {
      return nil
    }
    rest = rest.dropFirst(digits.count)
    // The suffix of long ints in Python 2.
    if rest.first == UInt8(ascii: "L") { rest = rest.dropFirst() }
    return value
  }

  private mutating func tuple() -> [Int]? {
    guard take("(") else { return nil }
    var sizes: [Int] = []
    while !take(")") {
      guard let size = integer(), sizes.count < Self.rankLimit else { return nil }
      sizes.append(size)
      if !take(",") {
        // One item without a comma is not a tuple.
        guard sizes.count > 1, take(")") else { return nil }
        break
      }
    }
    return sizes
  }

  /// Skips a list of fields. Its contents are ignored, since such arrays are not supported.
  private mutating func skipList() -> Bool {
    var depth = 0
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "(") { depth += 1 }
      if byte == UInt8(ascii: "]") || byte == UInt8(ascii: ")") { depth -= 1 }
      if depth == 0 { return true }
    }
    return false
  }
}
