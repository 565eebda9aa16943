internal import CkptBytes

/// The members of a tar archive with the names and ranges that Python's `tarfile` gives them, which
/// PyTorch uses for its first format.
struct TarSurvey {
  /// A member.
  struct Member {
    let name: String
    /// The range of the bytes in the source; empty for folders and links.
    let range: Range<Int>
    /// Whether it is a link, a device, or of another kind without bytes of its own; nil for a
    /// regular file or a folder.
    let special: String?
    /// Whether it is a folder.
    let isFolder: Bool
  }

  /// The members, in order.
  private(set) var members: [Member] = []
  /// Where the list of members breaks off because of damage; nil if it ends.
  private(set) var breakOffset: Int?
  /// Whether there are more members than were read.
  private(set) var hasMore = false

  private static let blockSize = 512
  /// The maximum size of a long name or a pax header.
  private static let extensionLimit = 1 << 20

  /// Fields that a previous header sets for the next member.
  private struct Override {
    var name: String?
    var size: Int?
    var isSparse = false
  }

  /// Whether `tarfile` takes a file that begins with these bytes for an archive.
  static func recognizes(_ start: [UInt8]) -> Bool {
    start.count >= blockSize && isIntact(Array(start[..<blockSize]))
  }

  /// Reads the headers of the archive in `source`.
  ///
  /// - Throws: what reading throws.
  init(_ source: ByteSource) throws {
    var position = 0
    var (global, override) = (Override(), Override())
    while position <= source.byteCount - Self.blockSize {
      let block = try source.bytes(in: position..<position + Self.blockSize)
      if block.allSatisfy({ $0 == 0 }) { return }
      guard Self.isIntact(block), let ownSize = Self.number(block[124..<136]), ownSize >= 0 else {
        breakOffset = position
        return
      }
      guard members.count < ScanBudget.partLimit else {
        hasMore = true
        return
      }
      let kind = block[156]
      let start = position + Self.blockSize
      let left = source.byteCount - start
      if Self.extensions.contains(kind) {
        guard ownSize <= min(left, Self.extensionLimit) else {
          breakOffset = position
          return
        }
        let bytes = try source.bytes(in: start..<start + ownSize)
        switch kind {
        case UInt8(ascii: "L"): override.name = Self.text(bytes[...])
        case UInt8(ascii: "K"): break
        case UInt8(ascii: "g"): Self.apply(pax: bytes, to: &global)
        default: Self.apply(pax: bytes, to: &override)
        }
        position = start + Self.padded(ownSize)
        continue
      }
      let isRegular = Self.regular.contains(kind)
      let size = override.size ?? global.size ?? ownSize
      let name = override.name ?? global.name ?? Self.name(block)
      let hasBytes = isRegular || !Self.known.contains(kind)
      let isFolder = kind == UInt8(ascii: "5") || (kind == 0 && Self.name(block).hasSuffix("/"))
      var special = isRegular ? nil : Self.special[kind]
      if kind == UInt8(ascii: "S") || override.isSparse { special = "a sparse file" }
      members.append(
        Member(
          name: name, range: hasBytes ? start..<start + min(size, left) : start..<start,
          special: special, isFolder: isFolder))
      override = Override()
      guard !hasBytes || size <= left else {
        breakOffset = position
        return
      }
      position = start + (hasBytes ? Self.padded(size) : 0)
    }
  }

  private static func padded(_ size: Int) -> Int { (size + blockSize - 1) / blockSize * blockSize }

  private static let extensions = Set("LKgxX".utf8)
  private static let regular = Set("\u{0}07S".utf8)
  private static let known = Set("\u{0}01234567SLKgxX".utf8)
  private static let special: [UInt8: String] = [
    UInt8(ascii: "1"): "a link", UInt8(ascii: "2"): "a symbolic link",
    UInt8(ascii: "3"): "a device", UInt8(ascii: "4"): "a device", UInt8(ascii: "6"): "a pipe",
  ]

  private static func text(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
  }

  private static func name(_ block: [UInt8]) -> String {
    let (name, prefix) = (text(block[..<100]), text(block[345..<500]))
    let isGNU = "LKS".utf8.contains(block[156])
    return prefix.isEmpty || isGNU ? name : prefix + "/" + name
  }

  /// Whether the header's checksum is right, with bytes taken as unsigned or, as some old programs
  /// did, as signed numbers.
  private static func isIntact(_ block: [UInt8]) -> Bool {
    guard let stated = number(block[148..<156]) else { return false }
    var (unsigned, signed) = (0, 0)
    for (index, byte) in block.enumerated() {
      let byte = (148..<156).contains(index) ? 32 : byte
      unsigned += Int(byte)
      signed += Int(Int8(bitPattern: byte))
    }
    return (stated == unsigned || stated == signed) && block.contains { $0 != 0 }
  }

  /// Parses a number: octal digits up to a NUL, possibly with blanks around, or a base-256 number,
  /// which begins with the byte 0x80 or, if it is negative, 0xFF.
  private static func number(_ field: ArraySlice<UInt8>) -> Int? {
    if field.first == 0x80 || field.first == 0xFF {
      let isNegative = field.first == 0xFF
      var value = 0
      for byte in field.dropFirst() {
        guard value < 1 << 54 else { return nil }
        value = value << 8 | Int(byte)
      }
      guard isNegative else { return value }
      return nil
    }
    guard let text = String(validating: field.prefix { $0 != 0 }, as: UTF8.self) else { return nil }
    var digits = text.drop(while: \.isWhitespace)
    while digits.last?.isWhitespace == true { digits.removeLast() }
    // Python's int() also accepts a prefix and single underscores.
    if digits.hasPrefix("0o") || digits.hasPrefix("0O") { digits = digits.dropFirst(2) }
    digits.removeAll { $0 == "_" }
    return digits.isEmpty ? 0 : Int(digits, radix: 8)
  }

  /// Applies the records "length keyword=value" of a pax header.
  private static func apply(pax bytes: [UInt8], to fields: inout Override) {
    var rest = bytes[...]
    while let blank = rest.firstIndex(of: 32),
      let length = Int(String(decoding: rest[..<blank], as: UTF8.self)),
      length > blank - rest.startIndex + 1, length <= rest.count
    {
      let record = rest[(blank + 1)..<rest.startIndex + length].dropLast()
      rest = rest[(rest.startIndex + length)...]
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { continue }
      let key = String(decoding: record[..<equals], as: UTF8.self)
      let value = String(decoding: record[(equals + 1)...], as: UTF8.self)
      switch key {
      case "path": fields.name = trimmed(value)
      case "GNU.sparse.name": fields.name = trimmed(value)
      case "size": if let size = Int(value), size >= 0 { fields.size = size }
      default: break
      }
      if key.hasPrefix("GNU.sparse.") { fields.isSparse = true }
    }
  }

  private static func trimmed(_ path: String) -> String {
    var path = path[...]
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    return String(path)
  }
}
