import CkptBytes
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Numbers at the limits")
struct LimitTests {
  @Test(
    "Whatever shape, strides and offset say, a tensor lies in its storage or is refused",
    arguments: [
      ([], [], Int.max), ([], [], Int.max - 1), ([1], [Int.max], Int.max), ([2], [Int.max], 1),
      ([0], [Int.max], Int.max), ([2, Int.max], [Int.max, 0], 0), ([Int.max], [0], 0),
      ([1 << 45], [0], 0), ([1], [Int.max], 0),
    ] as [([Int], [Int], Int)], [DType.float32, .complex64, .quint4x2, .uint8])
  func extremes(geometry: ([Int], [Int], Int), type: DType) {
    let (shape, strides, offset) = geometry
    do {
      let tensor = try Tensor(
        storage: Storage(bytes: [UInt8](repeating: 7, count: 16)), dtype: type, shape: shape,
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
      storage: storage, dtype: .float32, shape: [1 << 45], strides: [0])
    #expect(throws: TensorError.expandedTooFar(byteCount: 1 << 47, storage: 4)) {
      try wide.contiguousSource()
    }
    let narrow = try Tensor(
      storage: storage, dtype: .float32, shape: [1 << 20], strides: [0])
    #expect(try narrow.contiguousSource().byteCount == 4 << 20)
  }

  @Test("Elements that share bytes can begin at any of a byte's")
  func packed() throws {
    let storage = Storage(bytes: [0x10, 0x32, 0x54, 0x76, 0x98])
    for offset in 0..<10 {
      for count in 1...10 - offset {
        let part = try Tensor(
          storage: storage, dtype: .quint4x2, shape: [count], offset: offset)
        let bytes = try part.contiguousBytes()
        let numbers = (0..<count).map { Int(bytes[$0 / 2] >> ($0 % 2 == 0 ? 0 : 4) & 15) }
        #expect(numbers == Array(offset..<offset + count))
        if offset % 2 == 1, count % 2 == 1 { #expect(bytes[count / 2] >> 4 == 0) }
      }
    }
    // 0x10 and 0x32 are 0, 0, 1, 0, 2, 0, 3, 0 in two bits each.
    let quarters = try Tensor(storage: storage, dtype: .quint2x4, shape: [5], offset: 2)
    #expect(try quarters.contiguousSource().allBytes() == [0b0010_0001, 0b11])
    #expect(
      message(of: TensorError.self) {
        try Tensor(storage: storage, dtype: .quint4x2, shape: [5], offset: 6)
      }
        == "the tensor needs 6 bytes of its storage, which has 5")
  }
}
