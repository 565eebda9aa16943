import CkptBytes
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Tensors over storages")
struct TensorTests {
  let storage = Storage(bytes: Array(0..<48))

  private func tensor(
    _ shape: [Int], _ strides: [Int]? = nil, offset: Int = 0, _ type: DType = .int16
  ) throws -> Tensor {
    try Tensor(
      storage: storage, dtype: type, shape: shape, strides: strides, offset: offset)
  }

  @Test("A contiguous tensor is a run of the storage")
  func contiguous() throws {
    let tensor = try tensor([2, 3], offset: 4)
    #expect(tensor.strides == [3, 1])
    #expect(tensor.isContiguous)
    #expect(try tensor.contiguousBytes() == Array(8..<20))
  }

  @Test("Transposed, expanded, 0-d and empty tensors give their elements in row-major order")
  func strided() throws {
    let transposed = try tensor([3, 2], [1, 3])
    #expect(!transposed.isContiguous)
    #expect(try transposed.contiguousBytes() == [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11])
    #expect(
      try tensor([2, 2], [0, 1], offset: 23 - 1).contiguousBytes() == [
        44, 45, 46, 47, 44, 45, 46, 47,
      ])
    #expect(try tensor([], offset: 5).contiguousBytes() == [10, 11])
    #expect(try tensor([0, 7]).contiguousBytes().isEmpty)
    #expect(try tensor([1, 24], [999, 1]).isContiguous)
  }

  @Test("A random view gives what indexing gives", arguments: 0..<50)
  func random(seed: Int) throws {
    var random = SeededRandom(seed)
    let bytes = random.bytes(4096)
    let shape = (0..<Int.random(in: 0...4, using: &random)).map { _ in
      Int.random(in: 1...4, using: &random)
    }
    let strides = shape.map { _ in Int.random(in: 0...20, using: &random) }
    let tensor = try Tensor(
      storage: Storage(bytes: bytes), dtype: .int32, shape: shape, strides: strides, offset: 3
    )
    var expected: [UInt8] = []
    for flat in 0..<shape.reduce(1, *) {
      var (rest, position) = (flat, 3)
      for (size, stride) in zip(shape, strides).reversed() {
        position += rest % size * stride
        rest /= size
      }
      expected += bytes[position * 4..<position * 4 + 4]
    }
    #expect(try tensor.contiguousBytes() == expected)
  }

  @Test(
    "A tensor that leaves its storage, or cannot be counted, is refused",
    arguments: [
      ([25], nil, 0), ([24], nil, 1), ([2, 2], [23, 1], 1), ([2, 2], [1], 0), ([-1], nil, 0),
      ([2], [-1], 5), ([1], nil, -1), ([Int.max, 2], nil, 0), ([Int.max], [Int.max], 0),
      ([1], nil, Int.max), ([2, 2], [Int.max, Int.max], 0), ([1 << 62, 2], [0, 0], 0),
      ([0, Int.max, Int.max], nil, 0),
    ] as [([Int], [Int]?, Int)])
  func bad(shape: [Int], strides: [Int]?, offset: Int) {
    #expect(throws: TensorError.self) { try tensor(shape, strides, offset: offset) }
  }

  @Test("Numbers go in and come out")
  func numbers() throws {
    #expect(
      try Tensor([1.5, -2, .infinity] as [Float], shape: [3]).floats() == [1.5, -2, .infinity])
    #expect(try Tensor([1, 2] as [Int64], shape: [2]).byteCount == 16)
    #expect(
      message(of: TensorError.self) { try Tensor([1, 2] as [Double], shape: [3]) }
        == "2 values do not fill the shape [3]")
  }

  @Test("A meta tensor has a shape and no elements")
  func meta() throws {
    let tensor = try Tensor(
      storage: Storage(bytes: []), dtype: .float32, shape: [1000, 1000], isMeta: true)
    #expect(throws: TensorError.noData) { try tensor.contiguousBytes() }
  }

  @Test("Swapped bytes are the same from any place on", arguments: [2, 4, 8])
  func swapped(width: Int) throws {
    let bytes = (0..<53).map { UInt8($0) }
    var expected = bytes
    for start in stride(from: 0, through: 53 - width, by: width) {
      expected.replaceSubrange(start..<start + width, with: bytes[start..<start + width].reversed())
    }
    let source = ByteSource.computed(ByteSwapped(.bytes(bytes), width: width))
    #expect(try source.allBytes() == expected)
    for start in 0..<53 { #expect(try source.bytes(in: start..<53) == Array(expected[start...])) }
  }

  @Test("Element types have PyTorch's names and sizes")
  func types() {
    for type in DType.allCases { #expect(DType(name: type.name) == type) }
    #expect(DType(name: "float8_e4m3fn")?.byteCount == 1)
    #expect(DType.complex128.componentByteCount == 8)
    #expect(DType.quint4x2.byteCount(ofElements: 5) == 3)
    #expect(DType.float64.byteCount(ofElements: Int.max) == nil)
  }
}
