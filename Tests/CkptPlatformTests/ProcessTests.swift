import CkptPlatform
import CkptTestSupport
import Foundation
import Synchronization
import Testing

@Suite("Threads and files of the system")
struct ProcessTests {
  @Test func `A thread runs with the stack that it was given`() throws {
    final class Sum: Sendable { let value = Mutex(0) }
    let sum = Sum()
    let threads = try (1...8).map { number in
      try SystemThread(stackSize: 1 << 20) { sum.value.withLock { $0 += number } }
    }
    for thread in threads { thread.join() }
    #expect(sum.value.withLock { $0 } == 36)
    // A stack that no system can give.
    let error = #expect(throws: ThreadError.self) { try SystemThread(stackSize: 1 << 60) {} }
    #expect(error?.kind == .inputOutput)
    #expect(error?.description.hasPrefix("no thread can be started: ") == true)
  }

  @Test func `A changed file is not read on`() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([1, 2, 3, 4], to: "input")
    let file = try File(readingFrom: path)
    #expect(try file.bytes(at: 0, count: 4) == [1, 2, 3, 4])
    usleep(20_000)
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.write(contentsOf: Data([9]))
    try handle.close()
    let error = #expect(throws: FileError.self) { try file.bytes(at: 0, count: 2) }
    #expect(error?.kind == .inputOutput)
    #expect(error?.problem == "the file was changed while it was read")
  }
}
