internal import ModelZoo
internal import CkptPlatform
internal import Foundation
internal import TrainingCore

/// A search for a learning rate: some training steps with a rate that grows by a constant factor
/// (Smith, arXiv:1506.01186, section 3.3).
public struct LearningRateFinder {
  /// A step of the search.
  public struct Point: Sendable, Hashable {
    /// The learning rate: that of the backbone, or of the head if only the head is trained. The
    /// rates of all parameter groups keep their ratios.
    public let learningRate: Double
    /// The loss of the step's batch.
    public let loss: Double
    /// The exponential average of the losses so far: of steps i = 1…n, the loss of step i has the
    /// weight 0.98^(n - i), divided by the sum of the weights.
    public let smoothedLoss: Double
  }

  /// The steps, sorted by increasing rate.
  public let points: [Point]
  /// The rate at which the smoothed loss falls fastest; nil if it never falls.
  public let suggestion: Double?

  /// The factor of the exponential average, as in fastai.
  private static let smoothing = 0.98
  /// The search ends when the smoothed loss is more than this times its minimum, as in fastai.
  private static let divergence = 4.0

  /// Runs the search. It changes the model, which cannot be used for training afterwards.
  ///
  /// - Parameters:
  ///   - tuner: a fine-tuning that has not begun.
  ///   - range: the rates of the first and the last step.
  ///   - steps: the maximum number of steps.
  ///   - progress: is called with the number of finished steps; may throw to stop.
  /// - Throws: `ImageError` for an image that cannot be read, unless those are skipped;
  ///   `TrainingError`; what `progress` throws.
  public init(
    _ tuner: FineTuner, range: ClosedRange<Double> = 1e-6...1, steps: Int = 100,
    progress: (Int) throws -> Void = { _ in }
  ) throws {
    var points: [Point] = []
    let optimizer = tuner.optimizer
    let options = tuner.options
    let base = options.train == ["head"] ? options.effectiveHeadRate : options.learningRate
    let ratios = tuner.plan.groups.map { $0.learningRate / base }
    var (average, best) = (0.0, Double.infinity)
    var batches = try tuner.batches(ofEpoch: 0)
    var epoch = 0
    let count = max(steps, 2)
    for step in 0..<count {
      let part = Double(step) / Double(count - 1)
      let rate = range.lowerBound * Foundation.pow(range.upperBound / range.lowerBound, part)
      optimizer.learningRates = ratios.map { $0 * rate }
      var batch = try batches.next()
      if batch == nil {
        tuner.note(batches.omissions)
        epoch += 1
        batches = try tuner.batches(ofEpoch: epoch)
        batch = try batches.next()
      }
      guard let batch else { break }
      optimizer.zeroGrad()
      let loss = try tuner.searchLoss(of: batch)
      let value = try loss.item()
      guard value.isFinite else { break }
      average = Self.smoothing * average + (1 - Self.smoothing) * value
      let smoothed = average / (1 - Foundation.pow(Self.smoothing, Double(step + 1)))
      points.append(Point(learningRate: rate, loss: value, smoothedLoss: smoothed))
      best = min(best, smoothed)
      if smoothed > Self.divergence * best { break }
      try loss.backward()
      try optimizer.step()
      try progress(step + 1)
    }
    tuner.note(batches.omissions)
    self.points = points
    // As in fastai, without the first tenth of the steps, whose averages are of few losses, and
    // without the last ones, where the loss grows.
    suggestion = Self.steepest(points.dropFirst(count / 10).dropLast(count / 20))
  }

  /// The geometric mean of the rates of the two neighboring points between which the smoothed loss
  /// falls most; nil if it never falls.
  private static func steepest(_ points: ArraySlice<Point>) -> Double? {
    var best: (fall: Double, rate: Double)?
    for (one, next) in zip(points, points.dropFirst()) {
      let fall = one.smoothedLoss - next.smoothedLoss
      if fall > best?.fall ?? 0 {
        best = (fall, (one.learningRate * next.learningRate).squareRoot())
      }
    }
    return best?.rate
  }
}

extension FineTuner {
  /// The training loss of a batch, from which gradients can be computed.
  ///
  /// - Throws: `TrainingError`.
  func searchLoss(of batch: LabeledBatch) throws -> Variable {
    try loss(start.model.module(batch.inputs), batch.targets)
  }
}
