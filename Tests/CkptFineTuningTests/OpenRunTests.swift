import CkptPlatform
import CkptStateDicts
import CkptTestSupport
import FineTuning
import Foundation
import ImageData
import StateDictKit
import Testing

struct OpenRunTests {
  let folder: TemporaryFolder
  let run: RunFolder

  init() throws {
    folder = try TemporaryFolder()
    run = RunFolder(folder.file("run"))
  }

  /// Trains some epochs of a run on a copy of the pictures.
  private func train(_ change: (inout FineTuningOptions) -> Void = { _ in }) throws {
    try FileManager.default.copyItem(atPath: TuningSetup.shapes, toPath: folder.file("images"))
    let tuner = try TuningSetup.tuner(
      TuningSetup.options {
        $0.data = folder.file("images")
        ($0.epochs, $0.train, $0.augment) = (1, ["head"], .none)
        change(&$0)
      })
    try run.begin(tuner, replacing: false)
    _ = try tuner.run { try run.save(tuner, isBest: $0) }
  }

  private func images() throws -> TrainingImages { try TrainingImages(folder.file("images")) }

  /// Replaces text in `args.yml`.
  private func edit(_ text: String, _ other: String) throws {
    let before = String(decoding: try contents(of: run.file("args.yml")), as: UTF8.self)
    try #require(before.contains(text))
    _ = try folder.write(Array(before.replacing(text, with: other).utf8), to: "run/args.yml")
  }

  @Test func `Each file of the run is opened once, and one pickle is decoded`() throws {
    try train()
    let images = try images()
    let counters = WorkCounters()
    try WorkCounters.$current.withValue(counters) {
      let open = try OpenRun(run)
      #expect(counters[.open] == 2)
      let tuner = try open.tuner(on: images)
      #expect(tuner.finishedEpochs == 1)
    }
    // args.yml and last.pt.
    #expect(counters[.open] == 2)
    #expect(counters[.pickleDecoded] == 1)
  }

  @Test func `Options that were edited in args.yml are refused`() throws {
    try train()
    try edit("lr: 0.002", "lr: 0.2")
    let error = try #require(throws: FineTuningError.self) { try OpenRun(run) }
    #expect(error.description.contains("differ in lr"))
    for text in ["lr: [", "nonsense: 1", "lr: 1e999", "[]"] {
      _ = try folder.write(Array(text.utf8), to: "run/args.yml")
      #expect(throws: FineTuningError.self, "\(text)") { try OpenRun(run) }
    }
  }

  @Test func `More epochs in args.yml are taken, fewer are refused`() throws {
    try train()
    // So it is where a process is killed after it wrote args.yml and before it wrote last.pt.
    try edit("epochs: 1\n", "epochs: 3\n")
    let open = try OpenRun(run)
    #expect(open.options.epochs == 3 && open.plannedEpochs == 1)
    let tuner = try open.tuner(on: images())
    #expect(try tuner.run { try run.save(tuner, isBest: $0) } == .finished)
    #expect(tuner.finishedEpochs == 3)
    #expect(try OpenRun(run).plannedEpochs == 3)
    try edit("epochs: 3\n", "epochs: 2\n")
    let error = try #require(throws: FineTuningError.self) { try OpenRun(run) }
    #expect(error.description.contains("args.yml has fewer epochs (2) than last.pt (3)"))
  }

  @Test func `A run continues with the options that it began with`() throws {
    try train { $0.epochs = 3 }
    let open = try OpenRun(run)
    let images = try images()
    func refused(_ change: (inout FineTuningOptions) -> Void) throws -> String {
      var options = open.options
      change(&options)
      let error = try #require(throws: FineTuningError.self) {
        try open.tuner(options, on: images)
      }
      return error.description
    }
    for epochs in 0..<3 {
      #expect(try refused { $0.epochs = epochs }.contains("\(epochs) is less than the run's 3"))
    }
    #expect(try refused { $0.batchSize = 4 }.hasPrefix("batch_size: "))
    var options = open.options
    (options.epochs, options.maxTime) = (4, 3600)
    #expect(try open.tuner(options, on: images, threads: 1).finishedEpochs == 3)
  }

  @Test func `Images that are others by now are refused`() throws {
    try train()
    let open = try OpenRun(run)
    let files = FileManager.default
    func refused() throws -> String {
      try #require(throws: FineTuningError.self) { try open.tuner(on: images()) }.description
    }
    let (one, other) = (folder.file("images/circle/00.png"), folder.file("images/circle/x.png"))
    try files.moveItem(atPath: one, toPath: other)
    #expect(try refused().contains("as many, with other names or classes"))
    try files.copyItem(atPath: other, toPath: one)
    #expect(try refused().contains("30 + 6 then, 30 + 7 now"))
    try files.removeItem(atPath: other)
    #expect(try open.tuner(on: images()).finishedEpochs == 1)
    // A class more or less is told as that, not as weights of another shape.
    try files.copyItem(atPath: folder.file("images/circle"), toPath: folder.file("images/disc"))
    #expect(try refused().contains("30 + 6 then, 40 + 8 now"))
    try files.removeItem(atPath: folder.file("images/disc"))
    try files.removeItem(atPath: folder.file("images/circle"))
    #expect(try refused().contains("30 + 6 then, 20 + 4 now"))
  }

  /// Changes the value at a path in `last.pt`.
  private func set(_ path: [String], _ value: PlainValue) throws {
    func changed(_ old: PlainValue, _ path: ArraySlice<String>) -> PlainValue {
      guard let name = path.first, case .dict(let entries) = old else { return value }
      return .dict(
        entries.map { key, old in
          (key, key.string == name ? changed(old, path.dropFirst()) : old)
        })
    }
    let old = try Checkpoint(contentsOf: run.file("last.pt")).plainValue()
    try Checkpoint(changed(old, path[...])).write(
      to: run.file("last.pt"), replacingExisting: true)
  }

  @Test(
    arguments: [
      (["progress", "epoch"], 1 << 40), (["progress", "epoch"], -1), (["progress", "epoch"], 2),
      (["progress", "step"], 1 << 40), (["progress", "step"], Int.max),
      (["progress", "batch"], -1), (["progress", "best_epoch"], 1 << 40),
      (["progress", "best_epoch"], 0), (["metrics"], 1), (["optimizer"], 1), (["scheduler"], 1),
      (["rng"], 1), (["ema_updates"], -1), (["model"], 1), (["ema"], 1), (["args"], 1),
    ])
  func `A last.pt with a value that makes no sense is refused`(_ path: [String], _ value: Int)
    throws
  {
    try train { $0.ema = 0.5 }
    try set(path, .int(value))
    #expect(throws: (any Error).self) { try OpenRun(run).tuner(on: images()) }
  }
}
