import CkptTensors
import Testing

/// What `torch.arange(24.).reshape(2, 3, 4)` gives for the same calls.
@Suite struct TensorShapeTests {
  private let tensor: Tensor

  init() throws {
    tensor = try Tensor((0..<24).map(Float.init), shape: [2, 3, 4])
  }

  @Test func `A slice is the part along one dimension`() throws {
    let part = try tensor.sliced(1..<3, dimension: 1)
    #expect(part.shape == [2, 2, 4])
    #expect(part.strides == [12, 4, 1])
    #expect(part.storage === tensor.storage)
    #expect(try part.floats() == [4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23])
    #expect(try tensor.sliced(2..<4, dimension: -1).floats().prefix(4) == [2, 3, 6, 7])
    #expect(try tensor.sliced(3..<3, dimension: 1).elementCount == 0)
  }

  @Test func `One index takes its dimension away`() throws {
    let part = try tensor.selected(1).selected(2, dimension: 1)
    #expect(part.shape == [3])
    #expect(try part.floats() == [14, 18, 22])
  }

  @Test func `Dimensions change positions without a copy`() throws {
    let turned = try tensor.transposed(0, 2)
    #expect(turned.shape == [4, 3, 2])
    #expect(try turned.floats().prefix(8) == [0, 12, 4, 16, 8, 20, 1, 13])
    #expect(try tensor.transposed().shape == [2, 4, 3])
    #expect(try tensor.permuted([1, 2, 0]).floats().prefix(4) == [0, 12, 1, 13])
  }

  @Test func `Another shape has the same elements in the same order`() throws {
    #expect(try tensor.reshaped(to: [4, -1]).shape == [4, 6])
    #expect(try tensor.reshaped(to: [24]).storage === tensor.storage)
    let turned = try tensor.transposed(0, 2).reshaped(to: [-1])
    #expect(try turned.floats() == tensor.transposed(0, 2).floats())
  }

  @Test func `Negative and conjugate views stay what they are`() throws {
    var negative = tensor
    negative.isNegative = true
    #expect(try negative.sliced(0..<1).selected(0).selected(0).floats() == [0, -1, -2, -3])
    #expect(try negative.transposed(0, 2).reshaped(to: [24]).floats().prefix(2) == [0, -12])
  }

  @Test(arguments: [(3, 0), (0, 3), (-4, 0)])
  func `A dimension or an index that is not there is refused`(dimension: Int, low: Int) {
    #expect(throws: TensorError.self) {
      try tensor.sliced(low..<low + 2, dimension: dimension)
    }
  }

  @Test func `Shapes of other sizes are refused, and their products do not overflow`() {
    for shape in [[5], [-1, -1], [7, -1], [Int.max, Int.max], [0, -1], [-2, 12]] {
      #expect(
        throws: TensorError.badGeometry("[2, 3, 4] cannot be reshaped to \(shape)")
      ) { try tensor.reshaped(to: shape) }
    }
    #expect(throws: TensorError.badGeometry("[0, 0, 1] is no order of the dimensions of [2, 3, 4]"))
    {
      try tensor.permuted([0, 0, 1])
    }
  }

  @Test func `Elements of other types come as floats, and those that are no numbers do not`() throws
  {
    #expect(try tensor.converting(to: .float16).floats() == tensor.floats())
    #expect(try Tensor([1, -2, 3] as [Int64], shape: [3]).floats() == [1, -2, 3])
    let complex = try tensor.converting(to: .complex64)
    #expect(throws: TensorError.noConversion(from: .complex64, to: .float32)) {
      try complex.floats()
    }
  }
}
