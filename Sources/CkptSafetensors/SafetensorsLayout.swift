internal import CkptText
internal import CkptBytes
internal import CkptPlatform

/// Where everything in a safetensors file goes, byte for byte as the reference implementation (0.8.0) lays
/// it out: tensors of the widest type first, those of one type in the order of their keys; the header
/// padded with spaces, so that the data begins at a multiple of 8 and can be mapped.
package struct SafetensorsLayout: Sendable {
  /// A tensor that is to be written.
  package struct Item: Sendable {
    let key: String
    let type: SafetensorsType
    let shape: [Int]
    let byteCount: Int

    /// A tensor of `byteCount` bytes; its shape is in elements of `type`.
    package init(key: String, type: SafetensorsType, shape: [Int], byteCount: Int) {
      self.key = key
      self.type = type
      self.shape = shape
      self.byteCount = byteCount
    }
  }

  /// Where one tensor's bytes go.
  package struct Slot: Sendable {
    /// Its place among the items that were given.
    package let item: Int
    /// Where its bytes begin, from the file's start.
    package let offset: Int
  }

  /// The file's beginning: the header's length, the header, the padding.
  package let header: [UInt8]
  /// The tensors in the order in which they lie in the file.
  package let slots: [Slot]
  /// How many bytes the file has.
  package let byteCount: Int

  /// Lays out a file of those tensors.
  ///
  /// - Parameter metadata: what goes into `__metadata__`, which is left out if there is nothing.
  /// - Throws: `SafetensorsError.unwritable` if a key is `__metadata__`, if the sum is too large, or the
  ///   header larger than the format allows.
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
