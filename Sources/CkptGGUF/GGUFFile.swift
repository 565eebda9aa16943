internal import CkptText
package import CkptBytes
package import CkptPlatform
package import CkptTensors

/// The header of a GGUF file, versions 2 and 3, little-endian: its metadata and its tensors.
///
/// Numbers and texts of the metadata are in memory; its arrays (a tokenizer's words) stay in the file.
package struct GGUFFile: Sendable {
  /// A value of the metadata.
  package enum Value: Sendable, Equatable {
    case unsigned(UInt64)
    case signed(Int64)
    case float(Double)
    case bool(Bool)
    case text(String)
    /// An array that stays in the file.
    case array(element: String, count: Int)
  }

  /// A tensor's entry.
  package struct Entry: Sendable {
    /// Its name.
    package let name: String
    /// What its elements are.
    package let type: GGUFType
    /// The sizes of its dimensions as PyTorch counts them: the one that lies together comes last.
    package let shape: [Int]
    /// How many elements it has.
    package let elementCount: Int
    /// Where its bytes lie, as the file stores them.
    package let region: FileRegion
  }

  /// The file.
  package let file: File
  /// The version that the file declares.
  package let version: Int
  /// The metadata, in the file's order.
  package let metadata: [(key: String, value: Value)]
  /// The bytes of the metadata, as they stand in the file.
  package let metadataRegion: FileRegion
  /// The tensors, in the file's order.
  package let tensors: [Entry]
  /// The data of tensors begin at multiples of this.
  package let alignment: Int

  /// The first four bytes.
  static let magic = Array("GGUF".utf8)
  static let defaultAlignment = 32
  /// ggml's own limit is 4.
  private static let dimensionLimit = 8
  private static let nameLimit = 0xFFFF
  /// Files have a few thousand tensors and a few dozen values; each takes memory here.
  private static let countLimit: UInt64 = 1 << 20

  /// Whether the file begins as GGUF files do.
  package static func recognizes(_ file: File) throws -> Bool {
    guard file.size >= 4 else { return false }
    return try file.bytes(at: 0, count: 4) == magic
  }

  /// Reads the header of `file`.
  ///
  /// - Throws: `GGUFError` for one that is damaged, or whose tensors overlap or leave the file.
  package init(_ file: File) throws {
    self.file = file
    var cursor = GGUFCursor(file)
    try cursor.skip(4)
    let version = try cursor.uint32()
    guard version == 2 || version == 3 else {
      // A small number whose bytes are turned round.
      let isBig = version & 0xFFFF == 0
      throw cursor.bad(
        isBig
          ? "big-endian GGUF files are not supported" : "GGUF version \(version) is not supported")
    }
    self.version = Int(version)
    // The smallest entries: an empty key, a type, a byte; an empty name, a rank, a type, an offset.
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
    let (dataStart, size) = (cursor.position + padding, file.size)
    tensors = try entries.map { name, type, shape, offset in
      try Self.entry(name, type, shape, offset, alignment, dataStart, file, size)
    }
    try checkOverlaps()
  }

  private static func alignment(
    _ metadata: [(key: String, value: Value)], _ cursor: GGUFCursor
  ) throws -> Int {
    guard let value = metadata.first(where: { $0.key == "general.alignment" })?.value else {
      return defaultAlignment
    }
    guard case .unsigned(let number) = value, number.nonzeroBitCount == 1, number <= 1 << 20 else {
      throw cursor.bad("general.alignment is no power of two")
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
      guard !overflow else { throw bad("the tensor's size is more than can be counted") }
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
    // No bytes lie anywhere; a writer need not pad the file up to where they would begin.
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
  package func plainTensor() throws -> Tensor? {
    guard let dtype = type.dtype else { return nil }
    return try Tensor(
      storage: Storage(.region(region), name: name), dtype: dtype, shape: shape)
  }

  /// The numbers that the blocks stand for, as 32-bit floats made on demand; nil if that is not
  /// supported for the type.
  package func dequantizedTensor() throws -> Tensor? {
    guard type.canDequantize, let bytes = DequantizedBytes(.region(region), type: type) else {
      return nil
    }
    return try Tensor(
      storage: Storage(
        .computed(bytes), name: name,
        blocks: .init(name: type.name, isDecoded: true, source: .region(region))),
      dtype: .float32, shape: shape)
  }

  /// The blocks as they are: bytes, a row of the tensor a row.
  package func rawTensor() throws -> Tensor {
    let block = type.block
    let row = (shape.last ?? 1) / block.elementCount * block.byteCount
    return try Tensor(
      storage: Storage(
        .region(region), name: name,
        blocks: .init(name: type.name, isDecoded: false, source: .region(region))),
      dtype: .uint8, shape: shape.dropLast() + [row])
  }
}
