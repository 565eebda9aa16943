internal import CkptPlatform

// Formats without a magic number, identified by their first fields or by bytes at a later offset.
extension OtherFile {
  /// Identifies models of ONNX, Core ML, and TensorFlow: Protocol Buffers messages that begin with
  /// a version.
  static func protobuf(_ start: [UInt8]) -> OtherFile? {
    var fields = ProtobufFields(start)
    guard let version = fields.next(), version.number == 1, case .number(1...64) = version.value,
      let second = fields.next(), case .bytes(let content) = second.value, let first = content.first
    else { return nil }
    let hint = "it is made for running; convert the checkpoint that it was made from"
    let isText = content.allSatisfy { (32..<127).contains($0) }
    let onnx = OtherFile(name: "an ONNX model", hint: hint)
    // ModelProto of onnx.proto: 2 producer_name to 6 doc_string, 7 graph, 8 opset_import.
    if (3...6).contains(second.number) || second.number == 2 && isText {
      return isText ? onnx : nil
    }
    if second.number == 7 || second.number == 8 {
      return [0x0A, 0x10, 0x12].contains(first) ? onnx : nil
    }
    guard second.number == 2, first == 0x0A else { return nil }
    var inner = ProtobufFields(Array(content))
    guard let description = inner.next(), case .bytes(let part) = description.value else {
      return nil
    }
    // SavedModel of saved_model.proto: a MetaGraphDef whose MetaInfoDef lists operations (2); Model
    // of Core ML's Model.proto: a description whose inputs have a name (1).
    switch part.first {
    case 0x12:
      return OtherFile(name: "a TensorFlow SavedModel", hint: OtherFile.tensorFlowHint)
    case 0x0A: return OtherFile(name: "a Core ML model", hint: hint)
    default: return nil
    }
  }

  /// Identifies a map whose first key is a string, as written by Flax's `msgpack_serialize`.
  static func messagePack(_ start: [UInt8]) -> OtherFile? {
    guard let first = start.first else { return nil }
    var position: Int
    switch first {
    case 0x81...0x8F: position = 1
    case 0xDE: position = 3
    case 0xDF: position = 5
    default: return nil
    }
    guard position < start.count else { return nil }
    let count: Int
    switch start[position] {
    case 0xA1...0xBF: count = Int(start[position]) - 0xA0
    case 0xD9 where position + 1 < start.count:
      position += 1
      count = Int(start[position])
    default: return nil
    }
    let key = start.dropFirst(position + 1).prefix(count)
    guard count > 0, key.count == count, key.allSatisfy({ (32..<127).contains($0) }) else {
      return nil
    }
    return OtherFile(
      name: "a MessagePack file (msgpack), as Flax writes",
      hint:
        "flax.serialization.msgpack_restore reads it; saved by safetensors.flax, it is read here")
  }

  /// Identifies formats by bytes that are not at the start.
  static func elsewhere(_ file: File, _ start: [UInt8]) throws -> OtherFile? {
    func bytes(at offset: Int, _ count: Int) throws -> [UInt8] {
      guard offset >= 0, offset <= file.size, count <= file.size - offset else { return [] }
      return try file.bytes(at: offset, count: count)
    }
    // HDF5 data may come after a user block of 512 bytes, or a power of two above.
    for offset in [512, 1024, 2048, 4096, 8192]
    where try bytes(at: offset, 8) == OtherFileTable.hdf5.bytes {
      return OtherFileTable.hdf5.file
    }
    if start.starts(with: Array("MZ".utf8)), start.count >= 64 {
      let position = start[60..<64].reversed().reduce(0) { $0 << 8 | Int($1) }
      if try bytes(at: position, 4) == [0x50, 0x45, 0, 0] {
        return OtherFile(
          name: "a Windows program or library",
          hint: "the weights are another file, or the download gave something else")
      }
    }
    if start.starts(with: Array("BM".utf8)), start.count >= 6,
      start[2..<6].reversed().reduce(0, { $0 << 8 | Int($1) }) == file.size
    {
      return OtherFile(
        name: "a BMP image",
        hint: "the weights are another file, or the download gave something else")
    }
    // table::kTableMagicNumber of TensorFlow's io/format.h.
    if try bytes(at: file.size - 8, 8) == [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB] {
      return OtherFile(name: "the index of a TensorFlow checkpoint", hint: tensorFlowHint)
    }
    let event = Array("brain.Event:".utf8)
    if start.prefix(64).indices.contains(where: { start[$0...].starts(with: event) }) {
      return OtherFile(
        name: "a log of TensorBoard's", hint: "the weights are another file of the run")
    }
    if start.allSatisfy({ $0 == 0 }) {
      return OtherFile(
        name: "a file that begins with zeros only",
        hint: "a download that made room and was not finished; get it again")
    }
    return nil
  }
}

/// Reads the first fields of a Protocol Buffers message, as far as the bytes are available.
private struct ProtobufFields {
  enum Value {
    case number(UInt64)
    /// The bytes of a string or message, possibly cut off.
    case bytes(ArraySlice<UInt8>)
  }

  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  private mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 63, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }

  /// Reads the next field of the supported kinds: numbers, and nonempty bytes.
  mutating func next() -> (number: UInt64, value: Value)? {
    guard let tag = varint() else { return nil }
    switch tag & 7 {
    case 0: return varint().map { (tag >> 3, .number($0)) }
    case 2:
      guard let count = varint(), count > 0, let size = Int(exactly: count) else { return nil }
      let content = rest.prefix(size)
      rest = rest.dropFirst(size)
      return (tag >> 3, .bytes(content))
    default: return nil
    }
  }
}
