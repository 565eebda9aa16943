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
    var json: [UInt8] = [UInt8(ascii: "{")]
    if !metadata.isEmpty {
      json += Array("\"__metadata__\":{".utf8)
      for (number, entry) in metadata.enumerated() {
        if number > 0 { json.append(UInt8(ascii: ",")) }
        JSONText.append(entry.key, to: &json)
        json.append(UInt8(ascii: ":"))
        JSONText.append(entry.value, to: &json)
      }
      json.append(UInt8(ascii: "}"))
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
      if json.count > 1 { json.append(UInt8(ascii: ",")) }
      JSONText.append(item.key, to: &json)
      let shape = item.shape.map(String.init).joined(separator: ",")
      json += Array(
        ":{\"dtype\":\"\(item.type.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(position),\(end)]}"
          .utf8)
      starts.append(position)
      position = end
    }
    json.append(UInt8(ascii: "}"))
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

/// Text as it stands in JSON.
enum JSONText {
  /// Appends a string in quotes, escaped as serde_json does it: no more than must be.
  static func append(_ text: String, to json: inout [UInt8]) {
    json.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
        json += [UInt8(ascii: "\\"), byte]
      } else if byte < 0x20 {
        json += short[byte] ?? Array("\\u00".utf8) + hex(UInt16(byte), digits: 2)
      } else {
        json.append(byte)
      }
    }
    json.append(UInt8(ascii: "\""))
  }

  /// Appends a string in quotes as Python's `json.dumps` does it: everything beyond ASCII escaped.
  static func appendASCII(_ text: String, to json: inout [UInt8]) {
    json.append(UInt8(ascii: "\""))
    for unit in text.utf16 {
      switch unit {
      case 0x22, 0x5C: json += [UInt8(ascii: "\\"), UInt8(truncatingIfNeeded: unit)]
      case 0x20..<0x7F: json.append(UInt8(truncatingIfNeeded: unit))
      default:
        let escaped = unit < 0x20 ? short[UInt8(truncatingIfNeeded: unit)] : nil
        json += escaped ?? Array("\\u".utf8) + hex(unit, digits: 4)
      }
    }
    json.append(UInt8(ascii: "\""))
  }

  private static let short: [UInt8: [UInt8]] = [
    8: Array("\\b".utf8), 9: Array("\\t".utf8), 10: Array("\\n".utf8), 12: Array("\\f".utf8),
    13: Array("\\r".utf8),
  ]

  private static func hex(_ value: UInt16, digits: Int) -> [UInt8] {
    let text = Array(String(value, radix: 16).utf8)
    return [UInt8](repeating: UInt8(ascii: "0"), count: digits - text.count) + text
  }
}
