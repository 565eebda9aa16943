public import Platform

/// Reads pickles that stand in a row in a file, with other bytes between or behind them.
///
/// A pickle does not say how long it is. So its opcodes are passed over first, in small blocks, up to
/// STOP; then the bytes up to there are decoded, and no others are read.
public struct PickleStream {
  /// The file.
  public let file: File
  /// Where the next pickle begins, in bytes from the file's start; may be moved.
  public var offset: Int
  /// Where the bytes end that pickles may take.
  public let end: Int
  /// A pickle of more bytes is refused.
  public let limit: Int

  /// The pickles of `file` in `range`.
  public init(_ file: File, in range: Range<Int>, limit: Int) {
    self.file = file
    offset = range.lowerBound
    end = min(range.upperBound, file.size)
    self.limit = limit
  }

  /// Decodes the next pickle and passes over it.
  ///
  /// - Throws: `PickleError`, whose offsets count from this pickle's start; `FileError`.
  public mutating func next() throws -> PickleGraph {
    let count = try length()
    let graph = try PickleGraph(decoding: file.bytes(at: offset, count: count))
    offset += count
    return graph
  }

  /// How many bytes the next pickle has.
  func length() throws -> Int {
    var window = Window(file: file, start: offset, count: max(0, end - offset))
    while true {
      guard window.place <= limit else { throw PickleError.tooLarge(byteCount: window.place) }
      let place = window.place
      let byte = try window.byte()
      guard let opcode = Opcode(rawValue: byte) else {
        throw PickleError.unknownOpcode(byte: byte, offset: place)
      }
      switch opcode.argument {
      case .none: if opcode == .stop { return window.place }
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
    var place = 0
    private var block: [UInt8] = []
    private var blockStart = 0

    init(file: File, start: Int, count: Int) {
      self.file = file
      self.start = start
      self.count = count
    }

    mutating func byte() throws -> UInt8 {
      guard place < count else { throw PickleError.endsEarly(offset: count) }
      if place < blockStart || place >= blockStart + block.count {
        // Small pickles are many; of a large one, more and more is read at once.
        let size = min(max(512, place), 64 << 10, count - place)
        block = try file.bytes(at: start + place, count: size)
        blockStart = place
      }
      defer { place += 1 }
      return block[place - blockStart]
    }

    mutating func number(_ size: Int) throws -> UInt64 {
      var value: UInt64 = 0
      for index in 0..<size { value |= UInt64(try byte()) << UInt64(8 * index) }
      return value
    }

    mutating func skip(_ length: UInt64) throws {
      guard length <= UInt64(count - place) else {
        throw PickleError.lengthTooLarge(length: length, left: count - place, offset: place)
      }
      place += Int(length)
    }

    mutating func skipLine() throws {
      while try byte() != 0x0A {}
    }
  }
}

extension Opcode {
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
