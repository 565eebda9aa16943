package import CkptPlatform

/// The byte ranges of the members of an uncompressed tar archive (POSIX.1-2001, "ustar" with pax
/// headers).
///
/// Only three members of one kind of file are needed, so that an archive library would be an
/// unnecessary dependency.
package struct TarDirectory {
  /// The byte ranges of the regular files, by name.
  package private(set) var members: [String: Range<Int>] = [:]

  private static let blockSize = 512
  /// The maximum size of a pax header; those that `tarfile` writes are much smaller.
  private static let extensionLimit = 64 << 10
  private static let memberLimit = 64

  /// Whether a file's first bytes are a ustar header.
  package static func recognizes(_ start: [UInt8]) -> Bool {
    guard start.count >= blockSize else { return false }
    let block = Array(start[..<blockSize])
    return block[257..<262].elementsEqual("ustar".utf8) && isIntact(block)
  }

  /// Whether a file's first bytes are a tar header of any kind, including those before POSIX.
  package static func isHeader(_ start: [UInt8]) -> Bool {
    guard start.count >= blockSize, start[0] != 0 else { return false }
    return isIntact(Array(start[..<blockSize]))
  }

  /// The names of the first members of any kind; fewer if the archive is damaged.
  static func names(in file: File, limit: Int) throws -> [String] {
    var names: [String] = []
    var position = 0
    for _ in 0..<limit where position <= file.size - blockSize {
      let block = try file.bytes(at: position, count: blockSize)
      guard block[0] != 0, isIntact(block) else { break }
      names.append(String(decoding: block[..<100].prefix { $0 != 0 }, as: UTF8.self))
      guard let size = number(block[124..<136]), size <= file.size - position - blockSize else {
        break
      }
      position += blockSize + (size + blockSize - 1) / blockSize * blockSize
    }
    return names
  }

  /// Reads the headers of all members.
  ///
  /// - Parameter allowsCut: whether the last member may be cut off by the end of the file.
  /// - Throws: `CheckpointError` for a damaged archive; `FileError`.
  package init(_ file: File, allowsCut: Bool = false) throws {
    var position = 0
    var nextSize: Int?
    func bad(_ problem: String) -> CheckpointError {
      .damaged(file: file.path, offset: position, problem)
    }
    while position <= file.size - Self.blockSize {
      let block = try file.bytes(at: position, count: Self.blockSize)
      if block.allSatisfy({ $0 == 0 }) { return }
      guard Self.isIntact(block), let ownSize = Self.number(block[124..<136]) else {
        throw bad("a header of the tar archive is damaged")
      }
      let kind = block[156]
      let size = kind == UInt8(ascii: "x") ? ownSize : nextSize ?? ownSize
      let start = position + Self.blockSize
      guard allowsCut || size <= file.size - start else { throw bad("the tar archive is cut off") }
      switch kind {
      case UInt8(ascii: "x"):
        guard size <= file.size - start else { return }
        guard size <= Self.extensionLimit else { throw bad("a pax header is too long") }
        nextSize = try Self.size(inPax: file.bytes(at: start, count: size)[...])
      case 0, UInt8(ascii: "0"):
        let name = String(decoding: block[..<100].prefix { $0 != 0 }, as: UTF8.self)
        guard members[name] == nil else {
          throw bad("two members of the tar archive have one name")
        }
        guard members.count < Self.memberLimit else { throw bad("a tar archive of many members") }
        members[name] = start..<start + min(size, file.size - start)
        nextSize = nil
      default:
        throw bad("a member of the tar archive is no regular file")
      }
      guard size <= file.size - start else { return }
      position = start + (size + Self.blockSize - 1) / Self.blockSize * Self.blockSize
    }
  }

  /// Whether the header's checksum is right: the sum of its bytes, with blanks in place of the
  /// checksum.
  private static func isIntact(_ block: [UInt8]) -> Bool {
    let sum = block.enumerated().reduce(0) {
      $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element))
    }
    return number(block[148..<156]) == sum
  }

  /// Parses an octal number, or a base-256 number, which has the highest bit set and is used for
  /// large sizes.
  private static func number(_ field: ArraySlice<UInt8>) -> Int? {
    if let first = field.first, first & 0x80 != 0 {
      var value = Int(first & 0x7F)
      for byte in field.dropFirst() {
        guard value < 1 << 54 else { return nil }
        value = value << 8 | Int(byte)
      }
      return value
    }
    let digits = field.drop { $0 == 32 }.prefix { $0 != 0 && $0 != 32 }
    guard let text = String(validating: digits, as: UTF8.self) else { return nil }
    guard let value = digits.isEmpty ? 0 : Int(text, radix: 8), value >= 0 else { return nil }
    return value
  }

  /// The size in a pax header, which consists of records "length keyword=value
  /// ".
  private static func size(inPax bytes: ArraySlice<UInt8>) throws -> Int? {
    var rest = bytes
    var size: Int?
    while let blank = rest.firstIndex(of: 32),
      let length = Int(String(decoding: rest[..<blank], as: UTF8.self)),
      length > blank - rest.startIndex + 1, length <= rest.count
    {
      let record = rest[(blank + 1)..<rest.startIndex + length].dropLast()
      let text = String(decoding: record, as: UTF8.self)
      if text.hasPrefix("size="), let value = Int(text.dropFirst(5)), value >= 0 { size = value }
      rest = rest[(rest.startIndex + length)...]
    }
    return size
  }
}
