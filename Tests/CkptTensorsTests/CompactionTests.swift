import CkptBytes
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Storages shrink to what is in use")
struct CompactionTests {
  private func storage(_ count: Int) -> Storage {
    Storage(bytes: (0..<count).flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] })
  }

  private func view(
    _ storage: Storage, _ shape: [Int], _ strides: [Int], _ offset: Int = 0
  ) throws -> Tensor {
    try Tensor(
      storage: storage, dtype: .uint16, shape: shape, strides: strides, offset: offset)
  }

  /// Where each element lies, in row-major order.
  private func positions(_ tensor: Tensor) -> [Int] {
    var positions = [tensor.offset]
    for (size, stride) in zip(tensor.shape, tensor.strides) {
      positions = positions.flatMap { position in (0..<size).map { position + $0 * stride } }
    }
    return positions
  }

  @Test(
    "Values stay, elements that were shared stay shared, and nothing else is", arguments: 0..<300)
  func random(seed: Int) throws {
    var random = SeededRandom(seed)
    let storage = storage(120)
    let views = try (0..<Int.random(in: 1...5, using: &random)).map { _ -> Tensor in
      var shape: [Int] = []
      var strides: [Int] = []
      var room = 119
      let offset = Int.random(in: 0...60, using: &random)
      room -= offset
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let stride = [0, 1, 2, 10, 12, 30].randomElement(using: &random) ?? 1
        let most = stride == 0 ? 3 : min(6, room / stride + 1)
        let size = Int.random(in: random.next() % 9 == 0 ? 0...1 : 1...max(1, most), using: &random)
        shape.append(size)
        strides.append(stride)
        room -= max(0, size - 1) * stride
      }
      return try view(storage, shape, strides, offset)
    }
    let compaction = try Compaction(views, of: storage)
    guard let moved = compaction.views else { return }
    #expect(compaction.byteCount < storage.byteCount)
    var sizes: [ObjectIdentifier: Int] = [:]
    var before: [Int: (ObjectIdentifier, Int)] = [:]
    var after: [ObjectIdentifier: [Int: Int]] = [:]
    for (old, new) in zip(views, moved) {
      #expect(new.shape == old.shape && new.dtype == old.dtype)
      #expect(try new.contiguousBytes() == old.contiguousBytes())
      guard old.elementCount > 0 else { continue }
      let identity = ObjectIdentifier(new.storage)
      sizes[identity] = new.storage.byteCount
      for (from, to) in zip(positions(old), positions(new)) {
        if let known = before[from] { #expect(known == (identity, to), "element \(from)") }
        before[from] = (identity, to)
        if let known = after[identity]?[to] { #expect(known == from) }
        after[identity, default: [:]][to] = from
      }
    }
    #expect(sizes.values.reduce(0, +) == compaction.byteCount || before.isEmpty)
  }

  @Test("A slice drags nothing along: rows, columns, every second element")
  func slices() throws {
    let matrix = storage(100)
    for (shape, strides, offset) in [
      ([2, 10], [10, 1], 30), ([10, 2], [10, 1], 4), ([50], [2], 1),
    ] {
      let compaction = try Compaction([view(matrix, shape, strides, offset)], of: matrix)
      let moved = try #require(compaction.views?.first)
      #expect(compaction.byteCount == 2 * shape.reduce(1, *))
      #expect(moved.storage.byteCount == compaction.byteCount && moved.offset == 0)
    }
  }

  @Test("Blocks of columns that do not touch part; blocks that do stay together")
  func columns() throws {
    let matrix = storage(100)
    let (left, right) = (
      try view(matrix, [10, 2], [10, 1]), try view(matrix, [10, 3], [10, 1], 6)
    )
    let apart = try Compaction([left, right], of: matrix)
    #expect(apart.byteCount == 2 * 50)
    #expect(apart.views?[0].storage !== apart.views?[1].storage)
    let over = try view(matrix, [10, 3], [10, 1], 1)
    let together = try Compaction([left, over], of: matrix)
    #expect(together.views?[0].storage === together.views?[1].storage)
  }

  @Test("The order of dimensions stays; what is shown again and again is kept once")
  func order() throws {
    let base = storage(200)
    let transposed = try view(base, [4, 5], [1, 10], 3)
    let moved = try #require(try Compaction([transposed], of: base).views?.first)
    #expect(moved.strides == [1, 4])
    let expanded = try view(base, [7, 3], [0, 2], 3)
    let compaction = try Compaction([expanded], of: base)
    #expect(compaction.byteCount == 6 && compaction.views?.first?.strides == [0, 1])
    let window = try view(base, [5, 6], [1, 1], 3)
    #expect(try Compaction([window], of: base).byteCount == 20)
  }

  @Test("Tied views are tied afterwards; empty ones cost nothing; a full storage stays as it is")
  func edges() throws {
    let base = storage(50)
    let tied = try view(base, [5], [1], 10)
    let compaction = try Compaction([tied, tied, view(base, [0, 3], [3, 1], 40)], of: base)
    #expect(compaction.byteCount == 10)
    #expect(compaction.views?[0].storage === compaction.views?[1].storage)
    #expect(try Compaction([view(base, [50], [1])], of: base).views == nil)
    #expect(try Compaction([view(base, [0], [1])], of: base).byteCount == 0)
    let wide = try Tensor(storage: base, dtype: .float64, shape: [1], offset: 3)
    let mixed = try Compaction([wide, view(base, [3], [1], 11)], of: base)
    #expect(try mixed.views?[0].contiguousBytes() == wide.contiguousBytes())
    #expect(mixed.views?[0].storage === mixed.views?[1].storage)
  }
}
