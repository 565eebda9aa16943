/// Numbers that are written as a line of text, in pickles of protocol 0.
///
/// Python's readers (the C module and `pickle.py`, before and after the change of the base from 0 to
/// 10) accept more than what any pickler writes, but not the same. Such lines are told apart, so
/// that nobody reads a number that another does not.
package enum NumberLine {
  /// Who accepts a line.
  package enum Reading: Sendable {
    /// Every reader, with the same value.
    case agreed
    /// Some readers, or each with another value.
    case disputed
    /// No reader.
    case invalid
  }

  /// How the argument of INT is read, without the newline.
  package static func int(_ line: ArraySlice<UInt8>) -> Reading {
    if line.elementsEqual("00".utf8) || line.elementsEqual("01".utf8) { return .agreed }
    // "-0" and "+1" have the length of a bool, and its value.
    if line.count == 2, line.first == UInt8(ascii: "-") || line.first == UInt8(ascii: "+"),
      line.last == UInt8(ascii: "0") || line.last == UInt8(ascii: "1")
    {
      return line.elementsEqual("-1".utf8) ? .agreed : .disputed
    }
    return integer(line)
  }

  /// How the argument of LONG is read, without the newline.
  package static func long(_ line: ArraySlice<UInt8>) -> Reading {
    integer(line.last == UInt8(ascii: "L") ? line.dropLast() : line)
  }

  /// How the argument of FLOAT is read, without the newline.
  package static func float(_ line: ArraySlice<UInt8>) -> Reading {
    if isFloat(line) {
      let digits = line.contains { isDigit($0) }
      let value = Double(String(decoding: line, as: UTF8.self))
      return digits && value?.isInfinite != false ? .disputed : .agreed
    }
    let loose = trimmed(line.prefix { $0 != 0 }).filter { $0 != UInt8(ascii: "_") }
    return isFloat(loose[...]) ? .disputed : .invalid
  }

  /// The memo number in the argument of GET and PUT, without the newline, and how it is read. The
  /// number is nil if it exceeds 64 bits.
  package static func memoNumber(
    _ line: ArraySlice<UInt8>
  ) -> (number: UInt64?, reading: Reading) {
    var digits = trimmed(line.prefix { $0 != 0 })
    let sign = digits.first
    if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { digits = digits.dropFirst() }
    guard isGrouped(digits, isDigit) else { return (nil, .invalid) }
    let plain = digits.filter { $0 != UInt8(ascii: "_") }
    let number = UInt64(String(decoding: plain, as: UTF8.self))
    if sign == UInt8(ascii: "-"), number != 0 { return (nil, .invalid) }
    return (number, line.contains(0) ? .disputed : .agreed)
  }

  // MARK: - Grammar

  private static func integer(_ line: ArraySlice<UInt8>) -> Reading {
    let isSigned = line.first == UInt8(ascii: "-") || line.first == UInt8(ascii: "+")
    let digits = isSigned ? line.dropFirst() : line
    if !digits.isEmpty, digits.allSatisfy(isDigit),
      digits.first != UInt8(ascii: "0") || digits.count == 1
    {
      return digits.count <= BigInt.digitLimit ? .agreed : .disputed
    }
    var loose = trimmed(line.prefix { $0 != 0 })
    if loose.first == UInt8(ascii: "-") || loose.first == UInt8(ascii: "+") {
      loose = loose.dropFirst()
    }
    if isGrouped(loose, isDigit) { return .disputed }
    guard loose.first == UInt8(ascii: "0"), let base = loose.dropFirst().first else {
      return .invalid
    }
    var rest = loose.dropFirst(2)
    if rest.first == UInt8(ascii: "_") { rest = rest.dropFirst() }
    let isValid =
      switch base | 0x20 {
      case UInt8(ascii: "x"):
        isGrouped(rest) { isDigit($0) || (0x61...0x66).contains($0 | 0x20) }
      case UInt8(ascii: "o"): isGrouped(rest) { (0x30...0x37).contains($0) }
      case UInt8(ascii: "b"): isGrouped(rest) { $0 == 0x30 || $0 == 0x31 }
      default: false
      }
    return isValid ? .disputed : .invalid
  }

  /// Whether `digits` are digits with single underscores between them.
  private static func isGrouped(
    _ digits: ArraySlice<UInt8>, _ isDigit: (UInt8) -> Bool
  ) -> Bool {
    var isBehindDigit = false
    for byte in digits {
      let isUnderscore = byte == UInt8(ascii: "_")
      guard isUnderscore ? isBehindDigit : isDigit(byte) else { return false }
      isBehindDigit = !isUnderscore
    }
    return isBehindDigit
  }

  private static func isFloat(_ line: ArraySlice<UInt8>) -> Bool {
    var rest = line
    if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
      rest = rest.dropFirst()
    }
    let word = String(decoding: rest, as: UTF8.self).lowercased()
    if ["inf", "infinity", "nan"].contains(word) { return true }
    let whole = rest.prefix(while: isDigit)
    rest = rest.dropFirst(whole.count)
    var fraction: ArraySlice<UInt8> = []
    if rest.first == UInt8(ascii: ".") {
      fraction = rest.dropFirst().prefix(while: isDigit)
      rest = rest.dropFirst(1 + fraction.count)
    }
    guard !whole.isEmpty || !fraction.isEmpty else { return false }
    guard let mark = rest.first else { return true }
    guard mark | 0x20 == UInt8(ascii: "e") else { return false }
    rest = rest.dropFirst()
    if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
      rest = rest.dropFirst()
    }
    return !rest.isEmpty && rest.allSatisfy(isDigit)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
    var line = line.drop(while: isSpace)
    while let last = line.last, isSpace(last) { line = line.dropLast() }
    return line
  }
}
