internal import CkptBytes
internal import CkptText
internal import FineTuning
internal import Foundation
internal import ImageData
internal import StateDictKit
internal import Synchronization
internal import TrainingCore

/// The output of `finetune`: a line for each epoch, and on a terminal a progress line that is
/// redrawn; with --json, a JSON document on each line.
struct TrainingScreen {
  let tuner: FineTuner
  let common: CommonOptions

  init(_ tuner: FineTuner, _ common: CommonOptions) {
    (self.tuner, self.common) = (tuner, common)
  }

  // MARK: - Training

  /// Trains, saves into the folder of the run, and shows the progress.
  ///
  /// - Throws: `StoppedTraining` if a signal ended it; what training and saving throw.
  func train(_ run: RunFolder) throws {
    let (soft, hard) = (Cancellation(), Cancellation())
    let watch = SignalWatch(ending: soft, hard, exitStatus: ExitStatus.of(.interrupted))
    defer { withExtendedLifetime(watch) {} }
    let line = LiveLine(isOn: !common.noProgress && !common.json)
    if !common.json { print(heading) }
    let end: FineTuner.End
    do {
      end = try tuner.run(until: soft, observe: { show($0, on: line) }) {
        try run.save(tuner, isBest: $0)
      }
    } catch {
      line.clear()
      throw error
    }
    line.clear()
    try run.writeReport(tuner)
    try finish(run, end)
    if end == .interrupted {
      throw StoppedTraining(
        epoch: tuner.finishedEpochs + 1, step: tuner.finishedSteps, steps: tuner.stepsPerEpoch,
        run: run.path)
    }
  }

  private func show(_ event: FineTuningEvent, on line: LiveLine) {
    switch event {
    case .features(let done, let all):
      line.show("features of the frozen part  \(LiveLine.bar(done, all))  \(done) of \(all) images")
    case .step(let step):
      var parts = [
        "epoch \(step.epoch)", LiveLine.bar(step.images.done, step.images.all),
        "loss \(numberText(step.loss))",
      ]
      if let accuracy = step.accuracy { parts.append("accuracy \(percentText(accuracy))") }
      parts.append("lr " + (step.learningRates.map(numberText).last ?? "-"))
      let speed = Double(step.images.done) / max(step.seconds, 1e-6)
      parts.append(String(format: "%.0f images/s", speed))
      let rest = Double(step.images.all - step.images.done) / max(speed, 1e-6)
      parts.append("\(Text.duration(seconds: rest)) left")
      line.show(parts.joined(separator: "  "))
    case .evaluating(let done, let all):
      line.show("evaluation  \(LiveLine.bar(done, all))  \(done) of \(all) images")
    case .epoch(let figures, let isBest):
      line.clear()
      if common.json {
        showLine(EpochDocument(figures, isBest: isBest))
      } else {
        print(row(figures, isBest: isBest))
        StandardOutput.flush()
      }
    }
  }

  private static let widths = [7, 12, 12, 9, 9, 9, 12]

  private static func columns(_ cells: [String]) -> String {
    zip(cells, widths).map { cell, width in
      String(repeating: " ", count: max(width - cell.count, 1)) + cell
    }.joined()
  }

  private var heading: String {
    Self.columns(["epoch", "train loss", "val loss", "top-1", "top-5", "time", "lr"])
  }

  private func row(_ figures: EpochMetrics, isBest: Bool) -> String {
    Self.columns([
      "\(figures.epoch)", String(format: "%.4f", figures.trainLoss),
      String(format: "%.4f", figures.validationLoss), percentText(figures.top1),
      percentText(figures.top5), Text.duration(seconds: figures.seconds),
      figures.learningRates.map(numberText).joined(separator: " "),
    ]) + (isBest ? "  best" : "")
  }

  // MARK: - End

  private func finish(_ run: RunFolder, _ end: FineTuner.End) throws {
    if common.json {
      return showLine(EndDocument(tuner, run: run.path, end: end))
    }
    print("")
    if let best = tuner.best {
      print(
        "best      epoch \(best.epoch): top-1 \(percentText(best.top1)), loss "
          + String(format: "%.4f", best.validationLoss)
          + Messages.line(" (\(run.file("best.pt")))"))
    }
    switch end {
    case .finished, .interrupted: break
    case .outOfPatience:
      print("ended     no better result for \(tuner.options.patience ?? 0) epochs")
    case .outOfTime:
      print(
        Messages.line(
          "ended     the time is over; ckpt finetune --resume \(Shell.line([run.path])) "
            + "--max-time … goes on"))
    }
    print("time      \(Text.duration(seconds: tuner.totalSeconds))")
    print(Messages.line("report    \(run.file("report.html"))"))
    Self.show(tuner.omissions)
  }

  /// Lists images that were skipped, on standard error.
  static func show(_ omissions: [EpochBatches.Omission]) {
    guard !omissions.isEmpty else { return }
    Messages.warn("\(omissions.count) images were left out:")
    for omission in omissions.prefix(20) {
      Messages.write("  " + Messages.line(omission.error.description))
    }
    if omissions.count > 20 { Messages.write("  and \(omissions.count - 20) more") }
  }

  // MARK: - Search for a learning rate

  /// Searches for a learning rate and prints the result.
  ///
  /// - Throws: as `LearningRateFinder`; `CancelledError`.
  func findRate() throws {
    let cancellation = Cancellation()
    let watch = SignalWatch(cancellation, exitStatus: ExitStatus.of(.interrupted))
    defer { withExtendedLifetime(watch) {} }
    let line = LiveLine(isOn: !common.noProgress && !common.json)
    defer { line.clear() }
    let finder = try LearningRateFinder(tuner) { step in
      try cancellation.check()
      line.show("step \(step)")
    }
    line.clear()
    if common.json {
      showJSON(
        RateDocument(
          suggestion: finder.suggestion,
          points: finder.points.map {
            .init(lr: $0.learningRate, loss: $0.loss, smoothed_loss: $0.smoothedLoss)
          }, omitted: OmissionRow.rows(tuner.omissions)))
      return
    }
    let largest = finder.points.map(\.smoothedLoss).max() ?? 1
    var rows = [["lr", "loss", ""]]
    for index in stride(from: 0, to: finder.points.count, by: 4) {
      let point = finder.points[index]
      rows.append([
        numberText(point.learningRate), numberText(point.smoothedLoss),
        String(repeating: "#", count: Int(saturating: 40 * point.smoothedLoss / largest)),
      ])
    }
    Table.print(rows, rightAligned: [0, 1])
    print("")
    if let suggestion = finder.suggestion {
      let option = tuner.options.train == ["head"] ? "--head-lr" : "--lr"
      print("\(option) \(numberText(suggestion)): there the loss falls fastest")
    } else {
      print("the loss falls nowhere; nothing can be suggested")
    }
    Self.show(tuner.omissions)
  }
}

/// The error of a training that was stopped by a signal and saved.
struct StoppedTraining: Diagnostic {
  let epoch, step, steps: Int
  let run: String

  var kind: DiagnosticKind { .interrupted }
  var description: String {
    "stopped in epoch \(epoch) after \(step) of \(steps) steps; everything is saved (\(run))"
  }
  var remedies: [Remedy] { ["ckpt finetune \(Shell.line(["--resume", run])) goes on"] }
}

/// A progress line on a terminal, which is redrawn; if standard error is no terminal, nothing is
/// drawn.
final class LiveLine: Sendable {
  private let isOn: Bool
  private let state = Mutex((drawn: 0, last: ContinuousClock.Instant?.none))

  init(isOn: Bool) { self.isOn = isOn && StandardStream.error.isTerminal }

  /// Draws the line, at most ten times per second.
  func show(_ text: String) {
    guard isOn else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      if let last = state.last, now < last + .milliseconds(100) { return }
      state.last = now
      let padding = String(repeating: " ", count: max(state.drawn - text.count, 0))
      state.drawn = text.count
      Messages.draw(text + padding)
    }
  }

  /// Removes the line.
  func clear() {
    state.withLock { state in
      guard state.drawn > 0 else { return }
      Messages.erase(width: state.drawn)
      state = (0, nil)
    }
  }

  /// A progress bar of twenty characters in brackets.
  static func bar(_ done: Int, _ all: Int) -> String {
    let filled = all > 0 ? min(20, done * 20 / all) : 0
    return "[" + String(repeating: "#", count: filled)
      + String(repeating: ".", count: 20 - filled) + "]"
  }
}
