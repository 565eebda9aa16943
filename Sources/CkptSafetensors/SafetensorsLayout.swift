internal import CkptText
internal import CkptBytes
internal import CkptPlatform

/// The positions of all parts of a safetensors file, as the reference implementation (0.8.0)
/// chooses them: tensors are sorted by decreasing element size, then by key; the header is padded
/// with spaces, so that the data begins at a multiple of 8 and can be memory-mapped.
package struct SafetensorsLayout: Sendable {
  /// A tensor to be written.
  package struct Item: Sendable {
    let key: String
    let type: SafetensorsType
    let shape: [Int]
    let byteCount: Int

    /// Creates an item with `byteCount` bytes; its shape is in elements of `type`.
    package init(key: String, type: SafetensorsType, shape: [Int], byteCount: Int) {
      self.key = key
      self.type = type
      self.shape = shape
      self.byteCount = byteCount
    }
  }

  /// The position of one tensor's bytes.
  package struct Slot: Sendable {
    /// The index of the tensor in the given items.
    package let item: Int
    /// The file offset of the bytes.
    package let offset: Int
  }

  /// The beginning of the file: the header's length, the header, and the padding.
  package let header: [UInt8]
  /// The tensors in the order of their positions in the file.
  package let slots: [Slot]
  /// The size of the file in bytes.
  package let byteCount: Int

  /// Computes the layout of a file with the given tensors.
  ///
  /// - Parameter metadata: the contents of `__metadata__`, which is omitted if empty.
  /// - Throws: `SafetensorsError.unwritable` if a key is `__metadata__`, the total size overflows,
  ///   or the header is larger than the format allows.
  package init(_ items: [Item], metadata: [(key: String, value: String)] = []) throws {
    let order = items.indices.sorted { left, right in
      let (left, right) = (items[left], items[right])
      if left.type != right.type { return left.type > right.type }
      return left.key.utf8.lexicographicallyPrecedes(right.key.utf8)
    }
    var writer = JSONWriter(.compact)
    writer.beginObject()
    if !metadata.isEmpty {
      writer.name("__metadata__")
      writer.beginObject()
      for entry in metadata {
        writer.name(entry.key)
        writer.string(entry.value)
      }
      writer.end()
    }
    var position = 0
    var starts: [Int] = []
    for index in order {
      let item = items[index]
      guard item.key != "__metadata__" else {
        throw SafetensorsError.unwritable(
          "no tensor of a safetensors file can be called __metadata__",
          hint: "\(.renameKeys) gives it another name")
      }
      let (end, overflow) = position.addingReportingOverflow(item.byteCount)
      guard !overflow, end < 1 << 61 else {
        throw SafetensorsError.unwritable("the tensors are too large for one file", hint: nil)
      }
      writer.name(item.key)
      writer.beginObject()
      writer.name("dtype")
      writer.string(item.type.rawValue)
      for (name, numbers) in [("shape", item.shape), ("data_offsets", [position, end])] {
        writer.name(name)
        writer.beginArray(ofNumbers: true)
        for number in numbers { writer.integer(number) }
        writer.end()
      }
      writer.end()
      starts.append(position)
      position = end
    }
    writer.end()
    var json = writer.bytes
    json += [UInt8](repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
    guard json.count <= SafetensorsHeader.byteLimit else {
      throw SafetensorsError.unwritable(
        "the header would have \(json.count) bytes; the format allows "
          + "\(SafetensorsHeader.byteLimit)", hint: "\(.shard) writes several files")
    }
    header = UInt64(json.count).littleEndianBytes + json
    let dataOffset = header.count
    slots = zip(order, starts).map { Slot(item: $0, offset: dataOffset + $1) }
    byteCount = dataOffset + position
  }
}
