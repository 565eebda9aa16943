import CkptPlatform
import CkptTestSupport
import FineTuning
import ImageData
import Testing

/// A run that is stopped after every second step and continued, beside one that is not stopped.
enum StoppedRun {
  /// Checks that both save the same bits.
  static func check(_ options: FineTuningOptions, in folder: TemporaryFolder) throws {
    let whole = RunFolder(folder.file("whole"))
    let first = try TuningSetup.tuner(options)
    try whole.begin(first, replacing: false)
    #expect(try first.run { try whole.save(first, isBest: $0) } == .finished)

    let parts = RunFolder(folder.file("parts"))
    var tuner = try TuningSetup.tuner(options)
    try parts.begin(tuner, replacing: false)
    var stops = 0
    while true {
      let cancellation = Cancellation()
      var steps = 0
      let end = try tuner.run(until: cancellation) { event in
        guard case .step = event else { return }
        steps += 1
        if steps == 2 { cancellation.cancel() }
      } save: {
        try parts.save(tuner, isBest: $0)
      }
      guard end == .interrupted else { break }
      stops += 1
      try #require(stops < 40)
      tuner = try OpenRun(parts).tuner(on: TrainingImages(options.data, seed: options.seed))
    }
    #expect(stops >= 1)
    for name in ["last.pt", "best.pt"] {
      #expect(
        try TuningSetup.bits(whole.file(name)) == TuningSetup.bits(parts.file(name)), "\(name)")
    }
  }
}
