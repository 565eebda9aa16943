import CkptPlatform
import Testing

struct MemoryTests {
  @Test func `Aligned memory has the size asked for, also none`() {
    var buffer = AlignedBuffer<Double>(count: 3)
    #expect(buffer.count == 3)
    let byteCount = buffer.withMutableBytes(first: 24) { $0.byteCount }
    #expect(byteCount == 24)
    #expect(Int(bitPattern: buffer.elements.baseAddress) % 64 == 0)
    buffer.withMutableSpan(first: 3) { elements in
      for index in elements.indices { elements[index] = Double(index) }
    }
    #expect(Array(buffer.elements) == [0, 1, 2])
    buffer.withMutableSpan(in: 1..<3) { elements in
      #expect(elements.count == 2)
      #expect(elements[0] == 1)
    }
    buffer.withMutableBytes(first: 8) { $0.fill(with: 0xFF) }
    let bytes = [UInt8](byteCount: 16) { buffer.copyBytes(in: 0..<16, to: &$0) }
    #expect(bytes == [UInt8](repeating: 0xFF, count: 8) + [0, 0, 0, 0, 0, 0, 0xF0, 0x3F])
    #expect(AlignedBytes(count: 0).count == 0)
  }

  @Test(arguments: [0, 1, 5]) func `Bytes are copied to an offset, and what is around them stays`(
    offset: Int
  ) {
    let source: [UInt8] = [1, 2, 3]
    let expected =
      [UInt8](repeating: 9, count: offset) + source
      + [UInt8](repeating: 9, count: 5 - offset)
    let copied = [UInt8](byteCount: 8) { target in
      target.fill(with: 9)
      source.withRawSpan { target.copy($0, at: offset) }
    }
    #expect(copied == expected)
    let ofSlice = [UInt8](byteCount: 8) { target in
      target.fill(with: 9)
      target.copy([0, 1, 2, 3, 4][1...3], at: offset)
    }
    #expect(ofSlice == expected)
  }

  @Test func `Spans are the same if their bytes are, and there are as many`() {
    func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
      left.withRawSpan { left in right.withRawSpan { left.hasSameBytes(as: $0) } }
    }
    #expect(isSame([], []))
    #expect(isSame([1, 2], [1, 2]))
    #expect(!isSame([1, 2], [1, 3]))
    #expect(!isSame([1, 2], [1, 2, 3]))
  }

  @Test func `Elements of an array are read and changed in place`() {
    var numbers = [1.0, 2, 3]
    numbers.withMutableSpan { for index in $0.indices { $0[index] *= 2 } }
    #expect(numbers == [2, 4, 6])
    #expect(numbers.withSpan { $0[2] } == 6)
    #expect(
      [Int32](count: 3) { for index in $0.indices { $0[index] = Int32(index) } } == [0, 1, 2])
  }
}
