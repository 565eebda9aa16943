internal import CkptText
package import CkptBytes
package import CkptPlatform
package import CkptTensors

/// The header of a safetensors file: its tensors and their byte ranges. All rules of the reference
/// implementation are checked before any data is read.
///
/// The file consists of the header's length (a 64-bit integer, little-endian), the header (a JSON
/// object), and the data. The tensors fill the data without gaps and overlaps. Each key occurs
/// once. The header has at most 100 MB.
package struct SafetensorsHeader: Sendable {
  /// The entry of one tensor.
  package struct Entry: Sendable {
    /// The key.
    package let key: String
    /// The type of the elements.
    package let type: SafetensorsType
    /// The shape, in elements of that type.
    package let shape: [Int]
    /// The byte range of the elements, from the start of the data.
    package let range: Range<Int>
  }

  /// The maximum size of a header: 100 MB.
  package static let byteLimit = 100_000_000
  /// The maximum number of dimensions.
  static let rankLimit = 1024
  /// The maximum number of bytes of `__metadata__`.
  static let metadataLimit = 32 << 20

  /// The tensors in the header's order.
  package let entries: [Entry]
  /// The contents of `__metadata__`, in order; nil if there is none.
  package let metadata: [(key: String, value: String)]?
  /// The file offset of the data in bytes.
  package let dataOffset: Int

  /// Whether a file that begins with these bytes may have this format, which has no magic number:
  /// the first eight bytes must be a plausible length of the header, or be followed by the
  /// beginning of a JSON object.
  package static func isLikely(_ start: some Collection<UInt8>, fileSize: Int) -> Bool {
    let start = Array(start.prefix(10))
    guard start.count >= 9, !ShardIndex.isLikely(start) else { return false }
    let count = UInt64(littleEndian: start[..<8])
    let fits = count > 0 && count <= UInt64(byteLimit) && count <= UInt64(max(fileSize - 8, 0))
    let space: [UInt8] = [0x20, 0x09, 0x0A, 0x0D]
    if start[8] == UInt8(ascii: "{") {
      let next = start.dropFirst(9).first ?? 0
      return fits || next == UInt8(ascii: "\"") || next == UInt8(ascii: "}") || space.contains(next)
    }
    return fits && (start[8] == UInt8(ascii: "[") || space.contains(start[8]))
  }

  /// Reads the header of `file`.
  ///
  /// - Parameter allowsOtherSize: whether the data may be shorter or longer than the header says, as
  ///   in a damaged file.
  /// - Throws: `SafetensorsError`; `FileError`.
  package init(reading file: File, allowsOtherSize: Bool = false) throws {
    guard file.size >= 8 else {
      throw SafetensorsError.truncated(
        file: file.path, "the file has \(file.size) bytes and no header")
    }
    let count = UInt64(littleEndian: try file.bytes(at: 0, count: 8))
    guard count <= UInt64(Self.byteLimit) else {
      throw SafetensorsError.headerTooLarge(file: file.path, byteCount: count)
    }
    guard Int(count) <= file.size - 8 else {
      throw SafetensorsError.truncated(
        file: file.path,
        "the header claims \(count) bytes; the file has \(file.size - 8) behind its length")
    }
    dataOffset = 8 + Int(count)
    do throws(any Error) {
      var reader = JSONReader(
        .region(FileRegion(file: file, offset: 8, byteCount: dataOffset - 8, name: "the header")),
        at: 8)
      (entries, metadata) = try Self.read(&reader, file.path)
    } catch let failure as JSONReader.Failure {
      throw SafetensorsError.badJSON(
        file: file.path, "the header makes no sense: \(failure.problem)", offset: failure.offset)
    }
    try Self.check(
      entries, dataByteCount: allowsOtherSize ? nil : file.size - dataOffset, file.path)
  }

  private static func read(
    _ reader: inout JSONReader, _ file: String
  ) throws -> ([Entry], [(key: String, value: String)]?) {
    var entries: [Entry] = []
    var metadata: [(key: String, value: String)]?
    var keys = Set<ExactText>()
    var sawMetadata = false
    try reader.object { reader, key in
      if key == "__metadata__" {
        guard !sawMetadata else { throw reader.failure("__metadata__ occurs twice") }
        sawMetadata = true
        if try reader.null() { return }
        metadata = try readMetadata(&reader)
        return
      }
      guard keys.insert(ExactText(key)).inserted else {
        throw SafetensorsError.badTensor(file: file, key: key, "the key occurs twice")
      }
      entries.append(try readEntry(&reader, key, file))
    }
    try reader.finish()
    return (entries, metadata)
  }

  private static func readMetadata(
    _ reader: inout JSONReader
  ) throws -> [(key: String, value: String)] {
    var result: [(key: String, value: String)] = []
    var keys = Set<ExactText>()
    var size = 0
    try reader.object { reader, key in
      guard keys.insert(ExactText(key)).inserted else {
        throw reader.failure("a key of __metadata__ occurs twice")
      }
      result.append((key, try reader.string(limit: metadataLimit)))
      size += key.utf8.count + (result.last?.value.utf8.count ?? 0)
      guard size <= metadataLimit else {
        throw reader.failure("__metadata__ has more than \(metadataLimit) bytes")
      }
    }
    return result
  }

  private static func readEntry(
    _ reader: inout JSONReader, _ key: String, _ file: String
  ) throws -> Entry {
    var type: SafetensorsType?
    var shape: [Int]?
    var offsets: [Int]?
    try reader.object { reader, field in
      switch field {
      case "dtype":
        guard type == nil else { throw reader.failure("dtype occurs twice") }
        let name = try reader.string(limit: 100)
        guard let known = SafetensorsType(rawValue: name) else {
          throw SafetensorsError.badTensor(
            file: file, key: key, "the dtype \(Text.quoted(name)) is unknown")
        }
        type = known
      case "shape":
        guard shape == nil else { throw reader.failure("shape occurs twice") }
        shape = try readInts(&reader, limit: rankLimit)
      case "data_offsets":
        guard offsets == nil else { throw reader.failure("data_offsets occurs twice") }
        offsets = try readInts(&reader, limit: 2)
      // Unknown fields are skipped, as in the reference implementation.
      default: try reader.skipValue()
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2 else {
      throw SafetensorsError.badTensor(
        file: file, key: key, "dtype, shape or data_offsets is missing")
    }
    guard offsets[0] <= offsets[1] else {
      throw SafetensorsError.badTensor(file: file, key: key, "its data ends before it begins")
    }
    return Entry(key: key, type: type, shape: shape, range: offsets[0]..<offsets[1])
  }

  private static func readInts(_ reader: inout JSONReader, limit: Int) throws -> [Int] {
    var result: [Int] = []
    try reader.array { reader in
      guard result.count < limit else { throw reader.failure("more than \(limit) integers") }
      result.append(try reader.unsignedInt())
    }
    return result
  }

  /// Checks that the tensors' byte ranges have no gaps and no overlaps, match the shapes, and end
  /// at the end of the data, unless its size is nil.
  private static func check(_ entries: [Entry], dataByteCount: Int?, _ file: String) throws {
    let sorted = entries.sorted {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    var end = 0
    for entry in sorted {
      func bad(_ problem: String) -> SafetensorsError {
        .badTensor(file: file, key: entry.key, problem)
      }
      guard entry.range.lowerBound == end else {
        throw bad(
          "its data begins at \(entry.range.lowerBound), "
            + (entry.range.lowerBound < end ? "inside another tensor's" : "behind a hole")
            + ", which ends at \(end)")
      }
      if let dataByteCount, entry.range.upperBound > dataByteCount {
        throw bad(
          "its data ends at \(entry.range.upperBound); the file has \(dataByteCount) bytes of data")
      }
      guard let needed = byteCount(of: entry.type, entry.shape) else {
        throw bad("its size is more than can be counted, or no whole number of bytes")
      }
      guard needed == entry.range.count else {
        throw bad("its shape needs \(needed) bytes, not the \(entry.range.count) that it has")
      }
      end = entry.range.upperBound
    }
    if let dataByteCount, end != dataByteCount {
      throw SafetensorsError.truncated(
        file: file, "\(dataByteCount - end) bytes at the end belong to no tensor")
    }
  }

  private static func byteCount(of type: SafetensorsType, _ shape: [Int]) -> Int? {
    var count = 1
    for size in shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: size)
      if overflow { return nil }
      count = next
    }
    let (bits, overflow) = count.multipliedReportingOverflow(by: type.bitCount)
    return overflow || bits % 8 != 0 ? nil : bits / 8
  }

  /// The tensors; their storages are regions of `file`.
  ///
  /// Two elements of `F4` along the last dimension are one element of PyTorch's `float4_e2m1fn_x2`.
  ///
  /// - Throws: `SafetensorsError.unsupportedType` for the 6-bit floats, and for `F4` if the last
  ///   dimension is odd.
  package func tensors(in file: File) throws -> [(key: String, tensor: Tensor)] {
    var shapes = SharedShapes()
    return try entries.map { entry in
      let region = FileRegion(
        file: file, offset: dataOffset + entry.range.lowerBound, byteCount: entry.range.count,
        name: entry.key)
      return (entry.key, try entry.tensor(of: .region(region), file: file.path, &shapes))
    }
  }
}

extension SafetensorsHeader.Entry {
  /// The tensor whose elements are the bytes of `source`, which has the size of `range`.
  ///
  /// - Throws: as ``SafetensorsHeader/tensors(in:)``.
  package func tensor(of source: ByteSource, file: String) throws -> Tensor {
    var shapes = SharedShapes()
    return try tensor(of: source, file: file, &shapes)
  }

  fileprivate func tensor(
    of source: ByteSource, file: String, _ shapes: inout SharedShapes
  ) throws -> Tensor {
    var shape = shape
    if type == .float4 {
      guard let last = shape.last, last % 2 == 0 else {
        throw SafetensorsError.badTensor(
          file: file, key: key, "its last dimension has an odd number of 4-bit floats")
      }
      shape[shape.count - 1] = last / 2
    }
    guard let dtype = type.dtype else {
      throw SafetensorsError.unsupportedType(file: file, key: key, type: type.rawValue)
    }
    do {
      return try Tensor(
        storage: Storage(source, name: key), dtype: dtype, shape: shapes.shared(shape),
        strides: Tensor.contiguousStrides(for: shape).map { shapes.shared($0) })
    } catch {
      throw SafetensorsError.badTensor(file: file, key: key, error.description)
    }
  }
}
