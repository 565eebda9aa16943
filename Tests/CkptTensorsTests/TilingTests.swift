import CkptBytes
import CkptPlatform
import CkptTensors
import Testing

@Suite("Chunks that make a tensor")
struct TilingTests {
  private typealias Box = (offsets: [Int], sizes: [Int])

  private func isAccepted(_ shape: [Int], _ boxes: [Box]) -> Bool {
    let chunks = boxes.map { box in
      TensorChunk(
        offsets: box.offsets, sizes: box.sizes,
        source: .bytes([UInt8](repeating: 0, count: box.sizes.reduce(1, *))))
    }
    return (try? ChunkedBytes(shape: shape, width: 1, chunks: chunks)) != nil
  }

  /// How often each element is covered, counted one by one.
  private func isTiling(_ shape: [Int], _ boxes: [Box]) -> Bool {
    let count = shape.reduce(1, *)
    return (0..<count).allSatisfy { number in
      var rest = number
      let position = shape.reversed().map { size in
        defer { rest /= size }
        return rest % size
      }
      let index = Array(position.reversed())
      return boxes.count { box in
        index.indices.allSatisfy {
          (box.offsets[$0]..<box.offsets[$0] + box.sizes[$0]).contains(index[$0])
        }
      } == 1
    }
  }

  private func pieces(of shape: [Int], _ random: inout some RandomNumberGenerator) -> [Box] {
    var boxes: [Box] = [(shape.map { _ in 0 }, shape)]
    for _ in 0..<Int.random(in: 0..<12, using: &random) {
      let position = Int.random(in: boxes.indices, using: &random)
      let box = boxes[position]
      guard
        let dimension = shape.indices.filter({ box.sizes[$0] > 1 }).randomElement(using: &random)
      else { continue }
      let cut = Int.random(in: 1..<box.sizes[dimension], using: &random)
      var (left, right) = (box, box)
      left.sizes[dimension] = cut
      right.offsets[dimension] += cut
      right.sizes[dimension] -= cut
      boxes[position] = left
      boxes.append(right)
    }
    return boxes.shuffled(using: &random)
  }

  @Test("Exactly those are taken that cover each element once", arguments: 0..<60)
  func tilings(seed: Int) throws {
    var random = SystemRandomNumberGenerator()
    let rank = seed % 4 + 1
    let shape = (0..<rank).map { _ in Int.random(in: 1...5, using: &random) }
    let boxes = pieces(of: shape, &random)
    #expect(isAccepted(shape, boxes))
    // The same sizes elsewhere: as many elements, and mostly not each once.
    for _ in 0..<20 {
      let moved: [Box] = boxes.map { box in
        let offsets = shape.indices.map { Int.random(in: 0...shape[$0] - box.sizes[$0]) }
        return (Bool.random() ? box.offsets : offsets, box.sizes)
      }
      #expect(isAccepted(shape, moved) == isTiling(shape, moved), "\(shape) \(moved)")
    }
  }

  @Test("A hundred thousand chunks that all begin in one row take no time")
  func columns() throws {
    let count = 100_000
    var boxes: [Box] = (0..<count).map { ([0, $0], [2, 1]) }
    #expect(isAccepted([2, count], boxes))
    boxes[count - 1].offsets = [0, 0]
    #expect(!isAccepted([2, count], boxes))
  }

  @Test("A scalar has one chunk")
  func scalar() {
    #expect(isAccepted([], [([], [])]))
    #expect(!isAccepted([], [([], []), ([], [])]))
    #expect(isAccepted([0, 3], []))
  }
}
