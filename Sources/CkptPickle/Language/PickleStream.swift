internal import CkptBytes
package import CkptPlatform

/// Reads pickles that stand in a row in a file, with other bytes between or behind them.
///
/// A pickle does not say how long it is. So its opcodes are passed over first, in small blocks, up to
/// STOP; then the bytes up to there are decoded, and no others are read.
package struct PickleStream {
  /// The file.
  package let file: File
  /// Where the next pickle begins, in bytes from the file's start; may be moved.
  package var offset: Int
  /// Where the bytes end that pickles may take.
  package let end: Int
  /// A pickle of more bytes is refused.
  package let limit: Int

  /// The pickles of `file` in `range`.
  package init(_ file: File, in range: Range<Int>, limit: Int) {
    self.file = file
    offset = range.lowerBound
    end = min(range.upperBound, file.size)
    self.limit = limit
  }

  /// Whether a pickle can go on with this byte where an opcode is due.
  package static func isOpcode(_ byte: UInt8) -> Bool { Opcode(rawValue: byte) != nil }

  /// Decodes the next pickle and passes over it.
  ///
  /// - Throws: `PickleError`, whose offsets count from this pickle's start; `FileError`.
  package mutating func next() throws -> PickleGraph {
    let count = try length()
    let graph = try PickleGraph(decoding: file.bytes(at: offset, count: count))
    offset += count
    return graph
  }

  /// Decodes the next pickle, but leaves runs of at least `threshold` bytes, or bytes of text, in the file: see
  /// ``PickleGraph/outside(_:)``. What is left there does not count for ``limit``.
  ///
  /// - Throws: as ``next()``.
  package mutating func next(leaving threshold: Int) throws -> PickleGraph {
    let (bytes, outside, length) = try condensed(threshold)
    var graph: PickleGraph
    do {
      graph = try PickleGraph(decoding: bytes)
    } catch let error as PickleError {
      // Bytes are counted from the start of the whole.
      if length <= limit { return try next() }
      throw error
    }
    graph.outside = outside
    offset += length
    return graph
  }

  /// The next pickle with a placeholder for each run that is left in the file, these runs by where their
  /// placeholders are, and how many bytes the whole has.
  private func condensed(
    _ threshold: Int
  ) throws -> (bytes: [UInt8], outside: [UInt32: FileRegion], length: Int) {
    var window = Window(file: file, start: offset, count: max(0, end - offset))
    var bytes: [UInt8] = []
    var outside: [UInt32: FileRegion] = [:]
    while true {
      guard bytes.count <= limit else { throw PickleError.tooLarge(byteCount: bytes.count) }
      let position = window.position
      let byte = try window.byte()
      guard let opcode = Opcode(rawValue: byte) else {
        throw PickleError.unknownOpcode(byte: byte, offset: position)
      }
      bytes.append(byte)
      switch opcode.argument {
      case .none: if opcode == .stop { return (bytes, outside, window.position) }
      case .bytes(let count):
        for _ in 0..<count {
          let next = try window.byte()
          // How long a frame is does not matter, and it may be shorter here.
          bytes.append(opcode == .frame ? 0 : next)
        }
      case .lines(let count):
        for _ in 0..<count {
          var next: UInt8
          repeat {
            next = try window.byte()
            bytes.append(next)
            guard bytes.count <= limit else { throw PickleError.tooLarge(byteCount: bytes.count) }
          } while next != 0x0A
        }
      case .counted(let size):
        let length = try window.number(size)
        guard length <= UInt64(window.count - window.position) else {
          throw PickleError.lengthTooLarge(
            length: length, left: window.count - window.position, offset: position)
        }
        let isOutside = opcode.isRun && length >= UInt64(max(threshold, Self.placeholder.count))
        let kept = isOutside ? UInt64(Self.placeholder.count) : length
        for index in 0..<size {
          bytes.append(UInt8(truncatingIfNeeded: kept >> (8 * UInt64(index))))
        }
        guard isOutside else {
          guard Int(length) <= limit - min(limit, bytes.count) else {
            throw PickleError.tooLarge(byteCount: bytes.count)
          }
          for _ in 0..<length { bytes.append(try window.byte()) }
          continue
        }
        outside[UInt32(truncatingIfNeeded: bytes.count)] = FileRegion(
          file: file, offset: offset + window.position, byteCount: Int(length), name: "the pickle")
        bytes += Self.placeholder
        try window.skip(length)
      }
    }
  }

  /// What stands for a run that is left in the file: it is text, too.
  private static let placeholder = Array("in the file".utf8)

  /// How many bytes the next pickle has.
  func length() throws -> Int {
    var window = Window(file: file, start: offset, count: max(0, end - offset))
    while true {
      guard window.position <= limit else { throw PickleError.tooLarge(byteCount: window.position) }
      let position = window.position
      let byte = try window.byte()
      guard let opcode = Opcode(rawValue: byte) else {
        throw PickleError.unknownOpcode(byte: byte, offset: position)
      }
      switch opcode.argument {
      case .none: if opcode == .stop { return window.position }
      case .bytes(let count): try window.skip(count)
      case .lines(let count): for _ in 0..<count { try window.skipLine() }
      case .counted(let size): try window.skip(try window.number(size))
      }
    }
  }

  /// A part of the file of which a block is in memory.
  private struct Window {
    let file: File
    let start: Int
    let count: Int
    /// How far it was gone through.
    var position = 0
    private var block: [UInt8] = []
    private var blockStart = 0

    init(file: File, start: Int, count: Int) {
      self.file = file
      self.start = start
      self.count = count
    }

    mutating func byte() throws -> UInt8 {
      guard position < count else { throw PickleError.endsEarly(offset: count) }
      if position < blockStart || position >= blockStart + block.count {
        // Small pickles are many; of a large one, more and more is read at once.
        let size = min(max(512, position), 64 << 10, count - position)
        block = try file.bytes(at: start + position, count: size)
        blockStart = position
      }
      defer { position += 1 }
      return block[position - blockStart]
    }

    mutating func number(_ size: Int) throws -> UInt64 {
      var value: UInt64 = 0
      for index in 0..<size { value |= UInt64(try byte()) << UInt64(8 * index) }
      return value
    }

    mutating func skip(_ length: UInt64) throws {
      guard length <= UInt64(count - position) else {
        throw PickleError.lengthTooLarge(length: length, left: count - position, offset: position)
      }
      position += Int(length)
    }

    mutating func skipLine() throws {
      while try byte() != 0x0A {}
    }
  }
}

extension Opcode {
  /// Whether it gives bytes or text with a length of at least four bytes before it.
  fileprivate var isRun: Bool {
    switch self {
    case .binBytes, .binBytes8, .byteArray8, .binString, .binUnicode, .binUnicode8: true
    default: false
    }
  }

  /// What follows an opcode in the pickle.
  enum Argument {
    case none
    case bytes(UInt64)
    case lines(Int)
    /// A length of as many bytes, then that many bytes.
    case counted(Int)
  }

  /// What follows this opcode.
  var argument: Argument {
    switch self {
    case .binInt1, .binGet, .binPut, .proto, .ext1: .bytes(1)
    case .binInt2, .ext2: .bytes(2)
    case .binInt, .longBinGet, .longBinPut, .ext4: .bytes(4)
    case .binFloat, .frame: .bytes(8)
    case .float, .int, .long, .string, .unicode, .get, .put, .persID: .lines(1)
    case .global, .inst: .lines(2)
    case .shortBinString, .shortBinBytes, .shortBinUnicode, .long1: .counted(1)
    case .binUnicode, .binBytes, .binString, .long4: .counted(4)
    case .binUnicode8, .binBytes8, .byteArray8: .counted(8)
    case .mark, .stop, .pop, .popMark, .dup, .none, .binPersID, .reduce, .append, .build, .dict,
      .emptyDict, .appends, .list, .emptyList, .obj, .setItem, .tuple, .emptyTuple, .setItems,
      .newObj, .tuple1, .tuple2, .tuple3, .newTrue, .newFalse, .emptySet, .addItems, .frozenSet,
      .newObjEx, .stackGlobal, .memoize, .nextBuffer, .readOnlyBuffer:
      .none
    }
  }
}
