package import CkptBytes
internal import CkptPlatform
package import CkptTensors

/// The positions of all parts of a GGUF file, computed from sizes.
package struct GGUFLayout: Sendable {
  /// A tensor to be written.
  package struct Entry: Sendable {
    let key: String
    let type: GGUFType
    let shape: [Int]
    let byteCount: Int

    /// Creates the entry of `tensor`.
    ///
    /// - Parameter blocks: whether the original quantized blocks are written.
    /// - Throws: `GGUFError.cannotWrite` if the elements, the dimensions, or the name cannot be
    ///   stored in GGUF.
    package init(key: String, tensor: Tensor, asBlocks blocks: Bool) throws(GGUFError) {
      let type: GGUFType
      if blocks, let own = Blocks(tensor) {
        (type, shape, byteCount) = (own.type, own.shape, own.source.byteCount)
      } else if let plain = GGUFType(tensor.dtype) {
        (type, shape, byteCount) = (plain, tensor.shape, tensor.byteCount)
      } else {
        throw .cannotWrite(
          tensor: key, "GGUF has no type for \(tensor.dtype.name)",
          hint: "\(.convert(to: "float32")) makes one that GGUF has")
      }
      guard tensor.shape.count <= 4 else {
        throw .cannotWrite(
          tensor: key, "GGUF holds at most 4 dimensions, and the tensor has \(tensor.shape.count)",
          hint: nil)
      }
      guard key.utf8.count < GGUFLayout.nameLimit else {
        throw .cannotWrite(
          tensor: key, "a name of GGUF has fewer than \(GGUFLayout.nameLimit) bytes",
          hint: "\(.renameKeys) makes it shorter")
      }
      self.key = key
      self.type = type
    }
  }

  /// The quantized blocks from which a tensor was read.
  package struct Blocks: Sendable {
    let type: GGUFType
    let shape: [Int]
    /// The bytes of the blocks.
    package let source: ByteSource

    /// Creates the blocks of a tensor; nil unless the tensor has exactly the elements of one tensor
    /// of blocks in a GGUF file.
    package init?(_ tensor: Tensor) {
      guard let blocks = tensor.storage.blocks, tensor.isContiguous, tensor.offset == 0,
        tensor.byteCount == tensor.storage.byteCount, !tensor.isConjugate, !tensor.isNegative,
        let type = GGUFType.allCases.first(where: { $0.name == blocks.name }),
        let last = tensor.shape.last
      else { return nil }
      let (block, rest) = last.quotientAndRemainder(
        dividingBy: blocks.isDecoded ? type.block.elementCount : type.block.byteCount)
      guard rest == 0 else { return nil }
      self.type = type
      shape = tensor.shape.dropLast() + [block * type.block.elementCount]
      source = blocks.source
    }
  }

  /// The alignment of files that do not specify one.
  package static let defaultAlignment = 32
  /// The maximum length of a name in bytes: `GGML_MAX_NAME` in ggml.h.
  static let nameLimit = 64

  /// The bytes before metadata that are copied from another file; with own metadata, these are
  /// included.
  package let start: [UInt8]
  /// The offset of the tensors' entries.
  package let tensorTableOffset: Int
  /// The tensors' entries.
  package let tensorTable: [UInt8]
  /// The file offset of each tensor's bytes.
  package let offsets: [Int]
  /// The number of zeros after the last tensor.
  package let padding: Int
  /// The size of the file in bytes.
  package let byteCount: Int

  /// Computes the layout of a file.
  ///
  /// - Parameters:
  ///   - metadata: strings that are written as metadata.
  ///   - nativeCount: the number of values in metadata that are copied from another GGUF file.
  ///   - nativeByteCount: the number of bytes of those metadata.
  ///   - alignment: the alignment in those metadata, or ``defaultAlignment``.
  /// - Throws: `GGUFError.cannotWrite` if the total size overflows.
  package init(
    _ entries: [Entry], metadata: [(key: String, value: String)], nativeCount: Int,
    nativeByteCount: Int, alignment: Int
  ) throws(GGUFError) {
    var start = GGUFFile.magic
    start.append(littleEndian: UInt32(3))
    start.append(littleEndian: UInt64(entries.count))
    start.append(littleEndian: UInt64(metadata.count + nativeCount))
    for (key, value) in metadata {
      start.append(text: key)
      start.append(littleEndian: UInt32(8))
      start.append(text: value)
    }
    var table: [UInt8] = []
    var positions: [Int] = []
    var cursor = 0
    for entry in entries {
      table.append(text: entry.key)
      table.append(littleEndian: UInt32(entry.shape.count))
      for size in entry.shape.reversed() { table.append(littleEndian: UInt64(size)) }
      table.append(littleEndian: entry.type.rawValue)
      table.append(littleEndian: UInt64(cursor))
      positions.append(cursor)
      guard entry.byteCount < 1 << 60, cursor < 1 << 60 else {
        throw .cannotWrite(tensor: entry.key, "the tensors are too large for one file", hint: nil)
      }
      cursor = Self.aligned(cursor + entry.byteCount, alignment)
    }
    self.start = start
    tensorTable = table
    tensorTableOffset = start.count + nativeByteCount
    let dataStart = Self.aligned(tensorTableOffset + table.count, alignment)
    offsets = positions.map { dataStart + $0 }
    byteCount = dataStart + cursor
    let bare = tensorTableOffset + table.count
    // Tensors without elements have no bytes at their offset.
    let end =
      zip(offsets, entries).reversed().first { $0.1.byteCount > 0 }.map { $0.0 + $0.1.byteCount }
      ?? bare
    padding = byteCount - end
  }

  private static func aligned(_ value: Int, _ alignment: Int) -> Int {
    (value + alignment - 1) / alignment * alignment
  }
}

extension [UInt8] {
  fileprivate mutating func append(text: String) {
    append(littleEndian: UInt64(text.utf8.count))
    append(contentsOf: text.utf8)
  }
}
