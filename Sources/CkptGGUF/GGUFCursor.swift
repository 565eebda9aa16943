internal import CkptBytes
internal import CkptPlatform

/// Reads a GGUF header sequentially, with a small block of the file in memory.
struct GGUFCursor {
  private let file: File
  private(set) var position = 0
  private var block: [UInt8] = []
  private var blockStart = 0
  private var textTotal = 0

  private static let blockSize = 64 << 10
  /// The maximum size of a string in the metadata in bytes; chat templates have a few kB.
  private static let textLimit = 4 << 20
  /// The maximum total size of the header's strings in bytes; strings in arrays are not kept.
  private static let textTotalLimit = 64 << 20
  /// The maximum nesting depth of arrays.
  private static let depthLimit = 8

  init(_ file: File) { self.file = file }

  func bad(_ problem: String) -> GGUFError {
    .damaged(file: file.path, problem, offset: position)
  }

  var left: Int { file.size - position }

  mutating func skip(_ count: Int) throws {
    guard count >= 0, count <= left else { throw bad("the header is cut off") }
    position += count
  }

  private mutating func number(_ byteCount: Int) throws -> UInt64 {
    guard byteCount <= left else { throw bad("the header is cut off") }
    if position < blockStart || position + byteCount > blockStart + block.count {
      block = try file.bytes(at: position, count: min(Self.blockSize, left))
      blockStart = position
    }
    defer { position += byteCount }
    return UInt64(littleEndian: block[position - blockStart..<position - blockStart + byteCount])
  }

  mutating func uint32() throws -> UInt32 { UInt32(truncatingIfNeeded: try number(4)) }

  private mutating func length() throws -> Int {
    let value = try number(8)
    guard value <= UInt64(left) else {
      throw bad("a length of \(value) where \(left) bytes are left")
    }
    return Int(value)
  }

  /// Reads a count of items that take at least `size` bytes each, and checks it against the file's
  /// size.
  mutating func count(of what: String, atLeast size: Int, limit: UInt64 = .max) throws -> Int {
    let value = try number(8)
    guard value <= limit else { throw bad("\(value) \(what) are claimed; \(limit) are supported") }
    guard value <= UInt64(left / size) else {
      throw bad("\(value) \(what) are claimed, more than the file can hold")
    }
    return Int(value)
  }

  mutating func text(limit: Int) throws -> String {
    let count = try length()
    guard count <= limit else { throw bad("a text of \(count) bytes where \(limit) are allowed") }
    textTotal += count
    guard textTotal <= Self.textTotalLimit else { throw bad("the header's texts are too long") }
    let bytes = try file.bytes(at: position, count: count)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw bad("a text is not UTF-8")
    }
    position += count
    return text
  }

  // MARK: - Metadata

  /// The value types, with the format's numbers.
  private enum Kind: UInt32 {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64
    case float64

    /// The number of bytes of a value; nil if it varies.
    var byteCount: Int? {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .uint64, .int64, .float64: 8
      case .string, .array: nil
      }
    }
  }

  private mutating func kind() throws -> Kind {
    let number = try uint32()
    guard let kind = Kind(rawValue: number) else {
      throw bad("a value of the metadata has the unknown type \(number)")
    }
    return kind
  }

  /// Whether the type of the next value is the unsigned 32-bit integer; the value is not skipped.
  func isNextUInt32() throws -> Bool {
    var copy = self
    return try copy.kind() == .uint32
  }

  mutating func value() throws -> GGUFFile.Value {
    switch try kind() {
    case .uint8: return .unsigned(try number(1))
    case .uint16: return .unsigned(try number(2))
    case .uint32: return .unsigned(try number(4))
    case .uint64: return .unsigned(try number(8))
    case .int8: return .signed(Int64(Int8(truncatingIfNeeded: try number(1))))
    case .int16: return .signed(Int64(Int16(truncatingIfNeeded: try number(2))))
    case .int32: return .signed(Int64(Int32(truncatingIfNeeded: try number(4))))
    case .int64: return .signed(Int64(bitPattern: try number(8)))
    case .float32: return .float(Double(Float(bitPattern: try uint32())))
    case .float64: return .float(Double(bitPattern: try number(8)))
    case .bool: return .bool(try number(1) != 0)
    case .string: return .text(try text(limit: Self.textLimit))
    case .array: return try array()
    }
  }

  /// Skips an array, without recursion for nested arrays.
  private mutating func array() throws -> GGUFFile.Value {
    var open: [(kind: Kind, left: Int)] = []
    func enter(_ cursor: inout Self) throws -> (kind: Kind, count: Int) {
      let kind = try cursor.kind()
      let size = kind.byteCount ?? (kind == .string ? 8 : 12)
      return (kind, try cursor.count(of: "elements of an array", atLeast: size))
    }
    let (kind, count) = try enter(&self)
    open.append((kind, count))
    while let (kind, left) = open.popLast() {
      if let size = kind.byteCount {
        try skip(left * size)
      } else if kind == .string {
        for _ in 0..<left { try skip(try length()) }
      } else if left > 0 {
        open.append((kind, left - 1))
        guard open.count < Self.depthLimit else { throw bad("arrays nest too deep") }
        let inner = try enter(&self)
        open.append((inner.kind, inner.count))
      }
    }
    return .array(element: "\(kind)", count: count)
  }

  // MARK: - Tensors

  mutating func tensor(
    nameLimit: Int, rankLimit: Int
  ) throws -> (name: String, type: GGUFType, shape: [Int], offset: Int) {
    let name = try text(limit: nameLimit)
    func bad(_ problem: String) -> GGUFError {
      .badTensor(file: file.path, tensor: name, problem)
    }
    let rank = try uint32()
    guard rank <= rankLimit else {
      throw bad("\(rank) dimensions; at most \(rankLimit) are supported")
    }
    var shape: [Int] = []
    for _ in 0..<rank {
      guard let size = Int(exactly: try number(8)) else {
        throw bad("the tensor's size is more than can be counted")
      }
      shape.append(size)
    }
    let number = try uint32()
    guard let type = GGUFType(rawValue: number) else {
      throw bad("the type \(number) of its elements is unknown")
    }
    guard let offset = Int(exactly: try self.number(8)) else {
      throw bad("its data lie outside the file")
    }
    // ggml lists the dimension of consecutive elements first.
    return (name, type, shape.reversed(), offset)
  }
}
