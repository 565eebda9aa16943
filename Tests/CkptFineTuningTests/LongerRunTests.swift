import CkptTestSupport
import FineTuning
import StateDictKit
import Testing

struct LongerRunTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The learning rates of each epoch of a run.
  private func rates(_ tuner: FineTuner, _ run: RunFolder) throws -> [[Double]] {
    _ = try tuner.run { try run.save(tuner, isBest: $0) }
    return tuner.metrics.map(\.learningRates)
  }

  @Test(
    arguments: [Schedule.constant, .cosine, .oneCycle, .step(size: 1, gamma: 0.5)], [0, 1])
  func `A run that gets more epochs goes on with the rates of the longer run`(
    _ schedule: Schedule, _ warmup: Int
  ) throws {
    var options = TuningSetup.options {
      ($0.schedule, $0.warmup, $0.epochs, $0.batchSize) = (schedule, warmup, 2, 16)
    }
    let run = RunFolder(folder.file("run"))
    let first = try TuningSetup.tuner(options)
    try run.begin(first, replacing: false)
    _ = try rates(first, run)

    options.epochs = 5
    let longer = try OpenRun(run).tuner(
      options, on: TrainingImages(options.data, seed: options.seed))
    let found = try rates(longer, run).suffix(3)

    let whole = RunFolder(folder.file("whole"))
    let other = try TuningSetup.tuner(options)
    try whole.begin(other, replacing: false)
    let wanted = try rates(other, whole).suffix(3)
    #expect(found == wanted)
    #expect(found.allSatisfy { $0.allSatisfy { $0 > 0 } })
  }
}
