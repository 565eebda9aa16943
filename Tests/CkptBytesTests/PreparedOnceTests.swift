import CkptBytes
import CkptPlatform
import Synchronization
import Testing

@Suite("What is prepared once")
struct PreparedOnceTests {
  struct Failed: Error {}

  /// The number of the attempt that found it; an attempt with an error in `errors` throws it.
  private func once(_ errors: [(any Error)?] = []) -> PreparedOnce<Int> {
    let attempts = Mutex(0)
    return PreparedOnce {
      let number = attempts.withLock { attempts in
        defer { attempts += 1 }
        return attempts
      }
      if number < errors.count, let error = errors[number] { throw error }
      return number
    }
  }

  @Test func `It is found once, on whatever thread`() throws {
    let prepared = once()
    try Parallel.forEach(of: Array(0..<50), workers: 4) { _ in
      let value = try prepared.value()
      #expect(value == 0)
    }
  }

  @Test func `It is forgotten when all bytes were handed out, and not before`() throws {
    let prepared = once()
    #expect(try prepared.value() == 0)
    prepared.didDeliver(60, of: 100)
    #expect(try prepared.value() == 0)
    prepared.didDeliver(40, of: 100)
    #expect(try prepared.value() == 1)
    prepared.didDeliver(99, of: 100)
    #expect(try prepared.value() == 1)
  }

  @Test func `An error stays`() {
    let prepared = once([Failed(), nil])
    #expect(throws: Failed.self) { try prepared.value() }
    #expect(throws: Failed.self) { try prepared.value() }
  }

  @Test func `Cancelled work is done again by the next who asks`() throws {
    let prepared = once([CancelledError(), CancellationError()])
    #expect(throws: CancelledError.self) { try prepared.value() }
    #expect(throws: CancellationError.self) { try prepared.value() }
    #expect(try prepared.value() == 2)
    #expect(try prepared.value() == 2)
  }
}
