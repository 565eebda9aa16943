internal import CkptText
package import CkptBytes
package import CkptPlatform
package import CkptTensors

/// The header of a GGUF file, versions 2 and 3, little-endian: its metadata and its tensors.
///
/// Numbers and strings of the metadata are in memory; arrays (such as a tokenizer's vocabulary)
/// remain in the file.
package struct GGUFFile: Sendable {
  /// A value of the metadata.
  package enum Value: Sendable, Equatable {
    case unsigned(UInt64)
    case signed(Int64)
    case float(Double)
    case bool(Bool)
    case text(String)
    /// An array, which remains in the file.
    case array(element: String, count: Int)
  }

  /// A tensor's entry.
  package struct Entry: Sendable {
    /// The name.
    package let name: String
    /// The type of the elements.
    package let type: GGUFType
    /// The sizes of the dimensions in PyTorch's order: the dimension of consecutive elements is
    /// last.
    package let shape: [Int]
    /// The number of elements.
    package let elementCount: Int
    /// The byte range in the file; of a damaged file, it may exceed the file.
    package let region: FileRegion
    /// Bytes that take the place of those in the file; nil if there are none.
    package var replacement: ByteSource?
    /// The bytes.
    package var source: ByteSource { replacement ?? .region(region) }
  }

  /// The file.
  package let file: File
  /// The version that the file declares.
  package let version: Int
  /// The metadata, in the file's order.
  package let metadata: [(key: String, value: Value)]
  /// The byte range of the metadata in the file.
  package let metadataRegion: FileRegion
  /// The tensors, in the file's order.
  package let tensors: [Entry]
  /// The alignment of the tensors' data in bytes.
  package let alignment: Int

  /// The first four bytes of a file.
  static let magic = Array("GGUF".utf8)
  static let defaultAlignment = 32
  private static let alignmentKey = "general.alignment"
  /// The maximum number of dimensions; 4 in ggml.
  private static let dimensionLimit = 8
  /// The maximum size of a dimension, so that the number of bytes of a row does not overflow.
  private static let sizeLimit = Int.max >> 10
  private static let nameLimit = 0xFFFF
  /// The maximum number of tensors and of values. Files typically have a few thousand tensors and a
  /// few dozen values.
  private static let countLimit: UInt64 = 1 << 20

  /// Whether the file begins with GGUF's magic number.
  ///
  /// - Throws: `FileError`.
  package static func recognizes(_ file: File) throws -> Bool {
    guard file.size >= 4 else { return false }
    return try file.bytes(at: 0, count: 4) == magic
  }

  /// Reads the header of `file`.
  ///
  /// - Parameter allowsMissingData: whether tensors may exceed the file, as in a file that is cut
  ///   off.
  /// - Throws: `GGUFError` if it is invalid, or tensors overlap or exceed the file; `FileError`.
  package init(_ file: File, allowsMissingData: Bool = false) throws {
    self.file = file
    var cursor = GGUFCursor(file)
    try cursor.skip(4)
    let version = try cursor.uint32()
    guard version == 2 || version == 3 else {
      // A small version number in big-endian order.
      let isBig = version != 0 && version & 0xFFFF == 0
      throw cursor.bad(
        isBig
          ? "big-endian GGUF files are not supported" : "GGUF version \(version) is not supported")
    }
    self.version = Int(version)
    // The minimum sizes of entries: an empty key, a type, and a byte; an empty name, a rank, a
    // type, and an offset.
    let tensorCount = try cursor.count(of: "tensors", atLeast: 24, limit: Self.countLimit)
    let valueCount = try cursor.count(
      of: "values of the metadata", atLeast: 13, limit: Self.countLimit / 16)
    let metadataStart = cursor.position
    var metadata: [(key: String, value: Value)] = []
    var keys = Set<ExactText>()
    for _ in 0..<valueCount {
      let key = try cursor.text(limit: Self.nameLimit)
      guard keys.insert(ExactText(key)).inserted else {
        throw cursor.bad("two values of the metadata have one key")
      }
      // As in llama.cpp, which reads the alignment as a 32-bit number.
      guard try key != Self.alignmentKey || cursor.isNextUInt32() else {
        throw cursor.bad("\(Self.alignmentKey) is no unsigned 32-bit number")
      }
      metadata.append((key, try cursor.value()))
    }
    self.metadata = metadata
    metadataRegion = FileRegion(
      file: file, offset: metadataStart, byteCount: cursor.position - metadataStart,
      name: "metadata")
    let alignment = try Self.alignment(metadata, cursor)
    self.alignment = alignment
    var entries: [(name: String, type: GGUFType, shape: [Int], offset: Int)] = []
    var names = Set<ExactText>()
    for _ in 0..<tensorCount {
      let entry = try cursor.tensor(nameLimit: Self.nameLimit, rankLimit: Self.dimensionLimit)
      guard names.insert(ExactText(entry.name)).inserted else {
        throw GGUFError.badTensor(file: file.path, tensor: entry.name, "two tensors have this name")
      }
      entries.append(entry)
    }
    let padding = (alignment - cursor.position % alignment) % alignment
    let dataStart = cursor.position + padding
    let size = allowsMissingData ? Int.max / 2 : file.size
    tensors = try entries.map { name, type, shape, offset in
      try Self.entry(name, type, shape, offset, alignment, dataStart, file, size)
    }
    try checkOverlaps()
  }

  private static func alignment(
    _ metadata: [(key: String, value: Value)], _ cursor: GGUFCursor
  ) throws -> Int {
    guard let value = metadata.first(where: { $0.key == alignmentKey })?.value else {
      return defaultAlignment
    }
    guard case .unsigned(let number) = value, number.nonzeroBitCount == 1, number <= 1 << 20 else {
      throw cursor.bad("\(alignmentKey) is no power of two")
    }
    return Int(number)
  }

  private static func entry(
    _ name: String, _ type: GGUFType, _ shape: [Int], _ offset: Int, _ alignment: Int,
    _ dataStart: Int, _ file: File, _ size: Int
  ) throws -> Entry {
    func bad(_ problem: String) -> GGUFError {
      .badTensor(file: file.path, tensor: name, problem)
    }
    var count = 1
    for dimension in shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: dimension)
      // A size is limited by itself, too, since another one may be 0.
      guard !overflow, dimension <= sizeLimit else {
        throw bad("the tensor's size is more than can be counted")
      }
      count = next
    }
    let block = type.block
    guard (shape.last ?? 1).isMultiple(of: block.elementCount) else {
      throw bad(
        "a row of \(shape.last ?? 1) elements is no whole number of \(type.name) blocks of "
          + "\(block.elementCount)")
    }
    let (bytes, overflow) = (count / block.elementCount)
      .multipliedReportingOverflow(by: block.byteCount)
    guard !overflow else { throw bad("the tensor's size is more than can be counted") }
    guard offset.isMultiple(of: alignment) else {
      throw bad("its data begin at byte \(offset), which is no multiple of \(alignment)")
    }
    // The offset of a tensor without bytes is ignored, since a writer need not pad the file up to
    // it.
    let offset = bytes == 0 ? 0 : offset
    guard dataStart <= size, offset <= size - dataStart, bytes <= size - dataStart - offset else {
      throw bad("its \(bytes) bytes at \(offset) lie outside the file")
    }
    return Entry(
      name: name, type: type, shape: shape, elementCount: count,
      region: FileRegion(file: file, offset: dataStart + offset, byteCount: bytes, name: name))
  }

  private func checkOverlaps() throws {
    let sorted = tensors.filter { $0.region.byteCount > 0 }
      .sorted { $0.region.offset < $1.region.offset }
    for (first, second) in zip(sorted, sorted.dropFirst())
    where first.region.offset + first.region.byteCount > second.region.offset {
      throw GGUFError.badTensor(
        file: file.path, tensor: second.name, "its data overlap those of \"\(first.name)\"")
    }
  }
}

extension GGUFFile.Entry {
  /// The tensor, if its elements are plain numbers; nil for blocks.
  ///
  /// - Throws: `TensorError`.
  package func plainTensor() throws -> Tensor? {
    guard let dtype = type.dtype else { return nil }
    return try Tensor(
      storage: Storage(source, name: name), dtype: dtype, shape: shape)
  }

  /// The dequantized tensor in float32, computed on demand; nil if the type is not supported.
  ///
  /// - Throws: `TensorError`.
  package func dequantizedTensor() throws -> Tensor? {
    guard type.canDequantize, let bytes = DequantizedBytes(source, type: type) else {
      return nil
    }
    return try Tensor(
      storage: Storage(
        .computed(bytes), name: name,
        blocks: .init(name: type.name, isDecoded: true, source: source)),
      dtype: .float32, shape: shape)
  }

  /// The blocks as a tensor of bytes, in which each row has the bytes of a row of the tensor.
  ///
  /// - Throws: `TensorError`.
  package func rawTensor() throws -> Tensor {
    let block = type.block
    let row = (shape.last ?? 1) / block.elementCount * block.byteCount
    return try Tensor(
      storage: Storage(
        source, name: name,
        blocks: .init(name: type.name, isDecoded: false, source: source)),
      dtype: .uint8, shape: shape.dropLast() + [row])
  }
}
