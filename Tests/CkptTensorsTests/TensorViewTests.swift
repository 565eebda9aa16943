import CkptPlatform
import CkptBytes
import CkptTensors
import CkptTestSupport
import Testing

@Suite("What a tensor looks at")
struct TensorViewTests {
  /// Numbers of which none is another's negative or the same, as those of any type here.
  private let storage = Storage(
    bytes: (0..<40).flatMap { number in
      withUnsafeBytes(of: Float(number + 1).bitPattern.littleEndian) { Array($0) }
    })

  private func randomView(_ random: inout SeededRandom) throws -> Tensor {
    let type = [DType.float32, .int32, .complex64].randomElement(using: &random) ?? .float32
    let shapes: [[Int]] = [[], [1], [2], [0], [1, 2], [2, 1], [2, 2], [0, 2], [2, 0], [3]]
    let shape = shapes.randomElement(using: &random) ?? []
    var tensor = try Tensor(
      storage: storage, dtype: type, shape: shape,
      strides: shape.map { _ in Int.random(in: 0...2, using: &random) },
      offset: Int.random(in: 0...2, using: &random))
    tensor.isConjugate = Bool.random(using: &random)
    tensor.isNegative = Bool.random(using: &random)
    tensor.requiresGrad = Bool.random(using: &random)
    return tensor
  }

  private func bytes(_ tensor: Tensor) throws -> [UInt8] {
    let source = try tensor.resolvedSource()
    return try source.bytes(in: 0..<source.byteCount)
  }

  @Test(
    "Two views of a storage are equal exactly if they read the same elements in the same way",
    arguments: 0..<20)
  func equality(seed: Int) throws {
    var random = SeededRandom(seed)
    var count = 0
    for _ in 0..<2000 {
      let (a, b) = (try randomView(&random), try randomView(&random))
      let (left, right) = (try bytes(a), try bytes(b))
      let isSame = a.dtype == b.dtype && a.shape == b.shape && left == right
      #expect((a.view == b.view) == isSame, "\(a.shape) \(a.strides) \(a.offset) \(b.strides)")
      if isSame {
        count += 1
        #expect(a.view.hashValue == b.view.hashValue)
      }
    }
    #expect(count > 8)
  }

  @Test("Other storages, the meta device and other quantizations are other views")
  func others() throws {
    let bytes = [UInt8](repeating: 0, count: 8)
    let shared = Storage(bytes: bytes)
    func tensor(_ storage: Storage, isMeta: Bool = false) throws -> Tensor {
      try Tensor(storage: storage, dtype: .qint8, shape: [8], isMeta: isMeta)
    }
    var plain = try tensor(shared)
    #expect(try plain.view == tensor(shared).view)
    #expect(try plain.view != tensor(Storage(bytes: bytes)).view)
    #expect(try plain.view != tensor(shared, isMeta: true).view)
    #expect(try tensor(shared, isMeta: true).view.isEmpty && !plain.view.isEmpty)
    plain.quantization = .perTensor(scale: .nan, zeroPoint: 1)
    var other = plain
    #expect(plain.view == other.view)
    other.quantization = .perTensor(scale: .nan, zeroPoint: 2)
    #expect(plain.view != other.view)
    other.quantization = .perChannel(axis: 0, scales: [1], zeroPoints: [.nan])
    #expect(plain.view != other.view && other.view == other.view)
  }

  @Test("A negative view of integers stays in their range, as when it is made a tensor of its own")
  func integers() throws {
    for (type, expected) in [(DType.int8, [-1.0, -128, 1]), (.uint8, [255, 128, 1])] {
      var tensor = try Tensor(
        storage: Storage(bytes: [1, 128, 255]), dtype: type, shape: [3])
      tensor.isNegative = true
      var numbers = [Double](repeating: 0, count: 3)
      try numbers.withMutableSpan { try tensor.makeElementReader().read(into: &$0) }
      #expect(numbers == expected)
    }
  }

  @Test("Equal views that are converted alone share a storage afterwards, others do not")
  func converter() throws {
    var converter = TensorConverter(to: .float64)
    let plain = try Tensor([1, 2] as [Float], shape: [2])
    var negative = plain
    negative.isNegative = true
    let (first, second) = (try converter.convert(negative), try converter.convert(negative))
    let other = try converter.convert(plain)
    #expect(first.view == second.view && first.storage !== other.storage)
    #expect(try bytes(first).prefix(8) == [0, 0, 0, 0, 0, 0, 0xF0, 0xBF])
  }
}
