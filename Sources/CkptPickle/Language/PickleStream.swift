internal import CkptBytes
package import CkptPlatform

/// Reads consecutive pickles from a file, possibly with other data between them.
///
/// A pickle does not contain its length. Its opcodes are therefore scanned first, in small blocks,
/// up to STOP; then the pickle is read and decoded.
package struct PickleStream {
  /// The file.
  package let file: File
  /// The file offset of the next pickle in bytes; may be changed.
  package var offset: Int
  /// The file offset at which pickles must end.
  package let end: Int
  /// The maximum size of a pickle in bytes.
  package let limit: Int

  /// Creates a stream over the pickles in a byte range of `file`; each has at most `limit` bytes.
  package init(_ file: File, in range: Range<Int>, limit: Int) {
    self.file = file
    offset = range.lowerBound
    end = min(range.upperBound, file.size)
    self.limit = limit
  }

  /// Whether a byte is an opcode.
  package static func isOpcode(_ byte: UInt8) -> Bool { Opcode(rawValue: byte) != nil }

  /// Decodes the next pickle and advances the offset past it.
  ///
  /// - Throws: `PickleError`, with offsets from the start of this pickle; `FileError`.
  package mutating func next() throws -> PickleGraph {
    let count = try length()
    let graph = try PickleGraph(decoding: file.bytes(at: offset, count: count))
    offset += count
    return graph
  }

  /// Decodes the next pickle, but leaves strings and byte arrays of at least `threshold` bytes in
  /// the file; see ``PickleGraph/outside(_:)``. They do not count toward ``limit``.
  ///
  /// - Throws: as ``next()``.
  package mutating func next(leaving threshold: Int) throws -> PickleGraph {
    let (bytes, outside, length) = try condensed(threshold)
    var graph: PickleGraph
    do {
      graph = try PickleGraph(decoding: bytes)
    } catch let error as PickleError {
      // Offsets in the error must refer to the whole pickle, so it is decoded again, if it is small
      // enough.
      if length <= limit { return try next() }
      throw error
    }
    graph.outside = outside
    offset += length
    return graph
  }

  /// Reads the next pickle, with placeholders for the data that is left in the file. Also returns
  /// the byte ranges of that data by the offset of their placeholders, and the length of the whole
  /// pickle.
  private func condensed(
    _ threshold: Int
  ) throws -> (bytes: [UInt8], outside: [UInt32: FileRegion], length: Int) {
    var window = Window(file: file, start: offset, count: max(0, end - offset))
    var bytes: [UInt8] = []
    var outside: [UInt32: FileRegion] = [:]
    while true {
      guard bytes.count <= limit else { throw PickleError.tooLarge(byteCount: bytes.count) }
      let position = window.position
      let opcode = try window.opcode()
      bytes.append(opcode.rawValue)
      switch opcode.argument {
      case .none: if opcode == .stop { return (bytes, outside, window.position) }
      case .bytes(let count):
        guard opcode != .frame else {
          try window.beginFrame()
          // Whether the frame is kept to is checked here; for the decoder it is left out, since it
          // may be shorter here.
          bytes.removeLast()
          continue
        }
        try window.stayInFrame(count)
        for _ in 0..<count { bytes.append(try window.byte()) }
      case .lines(let count):
        for _ in 0..<count {
          var next: UInt8
          let start = window.position
          repeat {
            next = try window.byte()
            bytes.append(next)
            guard bytes.count <= limit else { throw PickleError.tooLarge(byteCount: bytes.count) }
          } while next != 0x0A
          try window.stayInFrame(window.position - start, at: start)
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
        try window.stayInFrame(Int(length))
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

  /// The placeholder for data that is left in the file. It is valid UTF-8, so that it can stand for
  /// a str.
  private static let placeholder = Array("in the file".utf8)

  /// The length of the next pickle in bytes.
  ///
  /// - Throws: `PickleError`; `FileError`.
  func length() throws -> Int {
    var window = Window(file: file, start: offset, count: max(0, end - offset))
    while true {
      guard window.position <= limit else { throw PickleError.tooLarge(byteCount: window.position) }
      let opcode = try window.opcode()
      switch opcode.argument {
      case .none: if opcode == .stop { return window.position }
      case .bytes where opcode == .frame: try window.beginFrame()
      case .bytes(let count): try window.skip(UInt64(count))
      case .lines(let count): for _ in 0..<count { try window.skipLine() }
      case .counted(let size): try window.skip(try window.number(size))
      }
    }
  }

  /// A part of the file, read sequentially in blocks.
  private struct Window {
    let file: File
    let start: Int
    let count: Int
    /// The number of bytes read or skipped so far.
    var position = 0
    private var block: [UInt8] = []
    private var blockStart = 0
    private var frame = PickleFrame()

    init(file: File, start: Int, count: Int) {
      self.file = file
      self.start = start
      self.count = count
    }

    mutating func byte() throws -> UInt8 {
      guard position < count else { throw PickleError.endsEarly(offset: count) }
      if position < blockStart || position >= blockStart + block.count {
        // The block size grows with the position, since most pickles are small.
        let size = min(max(512, position), 64 << 10, count - position)
        block = try file.bytes(at: start + position, count: size)
        blockStart = position
      }
      defer { position += 1 }
      return block[position - blockStart]
    }

    mutating func opcode() throws -> Opcode {
      let offset = position
      if position < count { try stayInFrame(1) }
      let byte = try byte()
      guard let opcode = Opcode(rawValue: byte) else {
        throw PickleError.unknownOpcode(byte: byte, offset: offset)
      }
      return opcode
    }

    /// Checks that an argument of `count` bytes, at most those that are left, is in one frame.
    mutating func stayInFrame(_ count: Int, at start: Int? = nil) throws {
      let start = start ?? position
      guard frame.allows(count, at: start) else { throw PickleError.crossesFrame(at: start) }
    }

    /// Reads the length of a frame and starts it.
    mutating func beginFrame() throws {
      let offset = position
      let length = try number(8)
      guard length <= UInt64(count - position) else {
        throw PickleError.lengthTooLarge(length: length, left: count - position, offset: offset)
      }
      guard frame.begin(at: position, length: Int(length)) else {
        throw PickleError.malformed(what: "a frame begins in another", offset: offset)
      }
    }

    mutating func number(_ size: Int) throws -> UInt64 {
      guard size <= count - position else { throw PickleError.endsEarly(offset: count) }
      try stayInFrame(size)
      var value: UInt64 = 0
      for index in 0..<size { value |= UInt64(try byte()) << UInt64(8 * index) }
      return value
    }

    mutating func skip(_ length: UInt64) throws {
      guard length <= UInt64(count - position) else {
        throw PickleError.lengthTooLarge(length: length, left: count - position, offset: position)
      }
      try stayInFrame(Int(length))
      position += Int(length)
    }

    mutating func skipLine() throws {
      let start = position
      while try byte() != 0x0A {}
      try stayInFrame(position - start, at: start)
    }
  }
}

extension Opcode {
  /// Whether the opcode is one for a string or bytes with a length of at least four bytes.
  fileprivate var isRun: Bool {
    switch self {
    case .binBytes, .binBytes8, .byteArray8, .binString, .binUnicode, .binUnicode8: true
    default: false
    }
  }

  /// The argument of an opcode.
  package enum Argument: Sendable {
    /// There is none.
    case none
    /// This many bytes.
    case bytes(Int)
    /// This many lines of text.
    case lines(Int)
    /// A length with this many bytes, then that many bytes of data.
    case counted(Int)
  }

  /// The argument that follows the opcode.
  package var argument: Argument {
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
