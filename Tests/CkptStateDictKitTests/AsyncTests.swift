import CkptTestSupport
import Foundation
import StateDictKit
import Synchronization
import Testing

/// The forms for tasks: what they give, how far they say they are, and that a cancelled task leaves the target.
@Suite struct AsyncTests {
  private let folder: TemporaryFolder
  private let checkpoint: Checkpoint

  init() throws {
    folder = try TemporaryFolder()
    checkpoint = try Checkpoint(contentsOf: Fixtures.path("training.pt"))
  }

  private final class Reports: Sendable {
    private let all = Mutex<[WorkProgress]>([])
    func add(_ report: WorkProgress) { all.withLock { $0.append(report) } }
    var values: [WorkProgress] { all.withLock { $0 } }
  }

  @Test func `A file is written and verified from a task, and progress ends with everything`()
    async throws
  {
    let path = folder.file("out.pt")
    let reports = Reports()
    let size = try await checkpoint.write(to: path) { reports.add($0) }
    #expect(try await Checkpoint.verify(contentsOf: path).isIntact)
    let written = reports.values
    #expect(written.allSatisfy { $0.stage == .writing && $0.total == size })
    #expect(written.map(\.completed) == written.map(\.completed).sorted())
    let last = try #require(written.last)
    #expect(last.completed > 0 && last.completed <= size)
    #expect(try checkpoint.plannedByteCount(for: path) == size)
    #expect(try contents(of: path).count == size)
  }

  @Test func `A cancelled task leaves the target as it was`() async throws {
    let path = try folder.write([1, 2, 3], to: "out.pt")
    let checkpoint = checkpoint
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      try await checkpoint.write(to: path, replacingExisting: true)
    }
    await #expect(throws: CancelledError()) { try await task.value }
    #expect(try contents(of: path) == [1, 2, 3])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["out.pt"])
  }

  @Test func `Statistics, digests and differences are those of the forms that wait`() async throws {
    let stateDict = try checkpoint.stateDict()
    let found = try await stateDict.statistics()
    #expect(found.entries.map(\.key) == stateDict.tensors.map(\.key))
    let digest = try await stateDict.digest()
    #expect(digest.entries.count == stateDict.count)
    let difference = try await stateDict.difference(to: stateDict)
    #expect(difference.onlyInA.isEmpty && difference.mismatched.isEmpty)
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      _ = try await stateDict.digest()
    }
    await #expect(throws: CancelledError()) { try await task.value }
  }

  @Test func `A URL opens what its path does, and none but a file's`() throws {
    let path = Fixtures.path("training.pt")
    let keys = try Checkpoint(contentsOf: URL(filePath: path)).stateDict().keys
    #expect(keys == (try checkpoint.stateDict().keys))
    let remote = try #require(URL(string: "https://example.org/a.pt"))
    let error = #expect(throws: FileError.self) { try Checkpoint(contentsOf: remote) }
    #expect(error?.kind == .cannotOpen)
    #expect(error?.problem == "only a file's URL can be opened")
  }

  @Test func `A checkpoint verifies and scans what it was read from`() throws {
    #expect(try checkpoint.verify().isIntact)
    #expect(try Checkpoint.scan(contentsOf: checkpoint.path).verdict != .dangerous)
  }
}
