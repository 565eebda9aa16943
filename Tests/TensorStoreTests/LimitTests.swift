import Platform
import TensorStore
import Testing

@Suite("Numbers at the limits")
struct LimitTests {
  @Test(
    "Whatever shape, strides and offset say, a tensor lies in its storage or is refused",
    arguments: [
      ([], [], Int.max), ([], [], Int.max - 1), ([1], [Int.max], Int.max), ([2], [Int.max], 1),
      ([0], [Int.max], Int.max), ([2, Int.max], [Int.max, 0], 0), ([Int.max], [0], 0),
      ([1 << 45], [0], 0), ([1], [Int.max], 0),
    ] as [([Int], [Int], Int)], [ElementType.float32, .complex64, .quint4x2, .uint8])
  func extremes(geometry: ([Int], [Int], Int), type: ElementType) {
    let (shape, strides, offset) = geometry
    do {
      let tensor = try Tensor(
        storage: Storage(bytes: [UInt8](repeating: 7, count: 16)), elementType: type, shape: shape,
        strides: strides, offset: offset)
      if tensor.byteCount < 1 << 20 {
        #expect(try tensor.contiguousBytes().count == tensor.byteCount)
      }
      _ = try tensor.contiguousSource()
    } catch is TensorError {
    } catch {
      Issue.record("\(error)")
    }
  }

  @Test("A tensor that shows a few bytes billions of times is not gone through")
  func expanded() throws {
    let storage = Storage(bytes: [0, 0, 0, 0])
    let wide = try Tensor(
      storage: storage, elementType: .float32, shape: [1 << 45], strides: [0])
    #expect(throws: TensorError.expandedTooFar(byteCount: 1 << 47, storage: 4)) {
      try wide.contiguousSource()
    }
    let narrow = try Tensor(
      storage: storage, elementType: .float32, shape: [1 << 20], strides: [0])
    #expect(try narrow.contiguousSource().byteCount == 4 << 20)
  }

  @Test("Of elements that share bytes the offset counts bytes, as PyTorch's views have it")
  func packed() throws {
    let storage = Storage(bytes: [0, 1, 2, 3, 4, 5, 6, 7, 8])
    // torch.quantize_per_tensor(x, …, torch.quint4x2) of three rows of five: row 1 is at offset 5.
    let row = try Tensor(storage: storage, elementType: .quint4x2, shape: [5], offset: 5)
    #expect(try row.contiguousBytes() == [5, 6, 7])
    #expect(try row.contiguousSource().allBytes() == [5, 6, 7])
    #expect(throws: TensorError.self) {
      try Tensor(storage: storage, elementType: .quint4x2, shape: [5], offset: 7)
    }
  }
}
