import CkptPlatform
import Synchronization
import Testing

@Suite("Work on several threads")
struct ParallelTests {
  struct Failed: Error, Equatable { let item: Int }

  @Test(arguments: [0, 1, 3, 64]) func `Every item is worked on once`(workers: Int) throws {
    let counts = Mutex([Int](repeating: 0, count: 100))
    try Parallel.forEach(of: Array(0..<100), workers: workers) { item in
      counts.withLock { $0[item] += 1 }
    }
    #expect(counts.withLock { $0 } == [Int](repeating: 1, count: 100))
  }

  @Test func `No items are no work`() throws {
    try Parallel.forEach(of: [Int](), workers: 4) { Issue.record("item \($0)") }
  }

  @Test func `One thread takes the items in their order, with room of its own`() throws {
    let taken = Mutex<[Int]>([])
    let rooms = Atomic(0)
    try Parallel.forEach(
      of: [5, 1, 4], workers: 1, room: { rooms.add(1, ordering: .relaxed).newValue }
    ) { item, room in
      #expect(room == 1)
      taken.withLock { $0.append(item) }
    }
    #expect(taken.withLock { $0 } == [5, 1, 4])
    #expect(rooms.load(ordering: .relaxed) == 1)
  }

  @Test(arguments: [1, 4])
  func `The first item's error comes out, and what was not begun stays undone`(workers: Int) throws
  {
    let begun = Mutex<Set<Int>>([])
    #expect(throws: Failed(item: 3)) {
      try Parallel.forEach(of: Array(0..<1000), workers: workers) { item in
        begun.withLock { _ = $0.insert(item) }
        if item >= 3 { throw Failed(item: item) }
      }
    }
    #expect(begun.withLock { $0.count } <= 3 + workers)
    #expect(begun.withLock { $0.isSuperset(of: 0...3) })
  }

  @Test func `Cancelled work begins no more items`() throws {
    let cancellation = Cancellation()
    let count = Atomic(0)
    #expect(throws: CancelledError()) {
      try Parallel.forEach(of: Array(0..<100), workers: 1, cancellation: cancellation) { item in
        count.add(1, ordering: .relaxed)
        if item == 9 { cancellation.cancel() }
      }
    }
    #expect(count.load(ordering: .relaxed) == 10)
  }
}
