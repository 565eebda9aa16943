import CkptBytes
import CkptPlatform
import CkptTensors
import CkptTestSupport
import Testing

/// Bytes that can only be read from the front, as an inflated record's.
struct ForwardOnly: ComputedBytes {
  let bytes: [UInt8]
  var byteCount: Int { bytes.count }
  var isRandomAccess: Bool { false }

  func makeReader(at offset: Int) throws -> any ByteReader {
    #expect(offset == 0)
    return try ByteSource.bytes(bytes).makeReader(at: offset)
  }
}

@Suite("Reading tensors in pieces")
struct ReadingTests {
  /// A random view of a storage of each kind: in memory, in a file, computed with and without random access.
  private func view(_ seed: Int, large: Bool = false) throws -> [Tensor] {
    var random = SeededRandom(seed)
    let type: DType = [.uint8, .int16, .float32, .float64, .complex128][seed % 5]
    let sizes = large ? [1, 3, 8, 13] : [1, 2, 3, 5]
    let shape = (0..<Int.random(in: 1...4, using: &random)).map { _ in
      sizes.randomElement(using: &random) ?? 1
    }
    // A permuted, sometimes sliced, sometimes expanded view.
    var strides = [Int](repeating: 0, count: shape.count)
    var step = 1
    for dimension in shape.indices.shuffled(using: &random) {
      strides[dimension] = Int.random(in: 0..<6, using: &random) == 0 ? 0 : step
      step *= shape[dimension]
      if Bool.random(using: &random) { step += Int.random(in: 0..<4, using: &random) }
      if step < 20, Int.random(in: 0..<6, using: &random) == 0 { step += 5000 }
    }
    let offset = Int.random(in: 0..<5, using: &random)
    let reach = zip(shape, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
    let bytes = random.bytes((offset + reach) * type.byteCount + 7)
    let folder = try TemporaryFolder()
    let file = try File(readingFrom: folder.write([1, 2, 3] + bytes, to: "storage"))
    let sources: [ByteSource] = [
      .bytes(bytes), .region(FileRegion(file: file, offset: 3, byteCount: bytes.count, name: "r")),
      .computed(ForwardOnly(bytes: bytes)), .computed(ByteSwapped(.bytes(bytes), width: 2)),
    ]
    return try sources.map {
      try Tensor(
        storage: Storage($0), dtype: type, shape: shape, strides: strides, offset: offset)
    }
  }

  @Test("The lazy bytes of any view are those that indexing gives", arguments: 0..<30)
  func gathered(seed: Int) throws {
    for tensor in try view(seed, large: seed % 3 == 0) {
      let expected = try tensor.contiguousBytes()
      let source = try tensor.contiguousSource()
      #expect(source.byteCount == expected.count)
      #expect(try source.allBytes() == expected)
      var random = SeededRandom(seed)
      for _ in 0..<3 {
        let start = Int.random(in: 0...expected.count, using: &random)
        let end = Int.random(in: start...expected.count, using: &random)
        #expect(try source.bytes(in: start..<end) == Array(expected[start..<end]))
      }
    }
  }

  @Test("A contiguous tensor in a file stays a region of it")
  func region() throws {
    let folder = try TemporaryFolder()
    let file = try File(readingFrom: folder.write(Array(0..<64), to: "storage"))
    let region = FileRegion(
      file: file, offset: 8, byteCount: 48, recordedCRC32: 7, name: "data/0")
    let storage = Storage(.region(region))
    let whole = try Tensor(storage: storage, dtype: .int32, shape: [3, 4]).contiguousSource()
    let part = try Tensor(storage: storage, dtype: .int32, shape: [2, 4], offset: 4)
      .contiguousSource()
    guard case .region(let first) = whole, case .region(let second) = part else {
      Issue.record("not a region")
      return
    }
    #expect((first.offset, first.byteCount, first.recordedCRC32) == (8, 48, 7))
    #expect((second.offset, second.byteCount, second.recordedCRC32) == (24, 32, nil))
  }

  @Test("A transposed matrix of several boxes is gathered whole")
  func manyBoxes() throws {
    let (rows, columns) = (1000, 1111)
    let bytes = Array(0..<Int64(rows * columns)).withUnsafeBytes { Array($0) }
    let tensor = try Tensor(
      storage: Storage(bytes: bytes), dtype: .int64, shape: [columns, rows],
      strides: [1, columns])
    var position = 12_345
    let reader = try tensor.makeElementReader(from: position)
    var values = [Float](repeating: 0, count: 100_000)
    while position < rows * columns {
      let count = min(values.count, rows * columns - position)
      try values.withMutableSpan {
        var part = $0._mutatingExtracting(..<count)
        try reader.read(into: &part)
      }
      for step in stride(from: 0, to: count, by: 1997) {
        let (column, row) = ((position + step) / rows, (position + step) % rows)
        #expect(values[step] == Float(row * columns + column))
      }
      position += count
    }
  }

  @Test("Elements come out as numbers, in any pieces")
  func numbers() throws {
    let values = (0..<20_000).map { Double($0) - 7000.5 }
    for type in [DType.float64, .float32, .float16, .bfloat16, .int32] {
      var tensor = try Tensor(values, shape: [20_000]).converting(to: type)
      let expected = try tensor.converting(to: .float32).floats()
      for piece in [1, 7000, 20_000] {
        let reader = try tensor.makeElementReader()
        var floats: [Float] = []
        for start in stride(from: 0, to: min(20_000, 10 * piece), by: piece) {
          var block = [Float](repeating: 0, count: min(piece, 20_000 - start))
          try block.withMutableSpan { try reader.read(into: &$0) }
          floats += block
        }
        #expect(floats == Array(expected[..<floats.count]))
      }
      tensor.isNegative = true
      var doubles = [Double](repeating: 0, count: 10)
      try tensor.makeElementReader(from: 19_990).read(into: &doubles)
      #expect(doubles == expected[19_990...].map { -Double($0) })
    }
  }

  @Test("A reader throws at the end, and for what has no numbers")
  func ends() throws {
    let transposed = try Tensor([1, 2, 3, 4] as [Float], shape: [4])
    let strided = try Tensor(
      storage: transposed.storage, dtype: .float32, shape: [2, 2], strides: [1, 2])
    var five = [Float](repeating: 0, count: 5)
    #expect(
      message(of: TensorError.self) {
        try five.withMutableSpan { try strided.makeElementReader().read(into: &$0) }
      }
        == "the tensor needs 17 bytes of its storage, which has 16")
    let converted = try strided.converting(to: .float16)
    #expect(
      message(of: TensorError.self) {
        try five.withMutableSpan { try converted.makeElementReader().read(into: &$0) }
      }
        == "the tensor needs 9 bytes of its storage, which has 8")
    let meta = try Tensor(
      storage: Storage(bytes: []), dtype: .float32, shape: [2], isMeta: true)
    #expect(throws: TensorError.noData) { try meta.makeElementReader() }
    #expect(throws: TensorError.noData) { try meta.contiguousSource() }
    let quantized = try Tensor(storage: Storage(bytes: [1]), dtype: .qint8, shape: [1])
    #expect(
      message(of: TensorError.self) { try quantized.makeElementReader() }
        == "elements of type qint8 cannot be converted to float32")
  }
}
