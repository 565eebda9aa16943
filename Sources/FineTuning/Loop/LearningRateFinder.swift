internal import ModelZoo
internal import CkptPlatform
internal import Foundation
internal import TrainingCore

/// Looks for a learning rate: trains some steps with a rate that grows by a constant factor and watches the loss
/// (Smith, arXiv:1506.01186, section 3.3).
public struct LearningRateFinder {
  /// A step of the search.
  public struct Point: Sendable, Hashable {
    /// The rate in the place of the options' learning rate (of the head's, if the head learns alone); each parameter
    /// group keeps its ratio to it.
    public let learningRate: Double
    /// The loss of the step.
    public let loss: Double
    /// The average of the losses so far, which weighs the later ones more.
    public let smoothedLoss: Double
  }

  /// The steps, from the smallest rate on.
  public let points: [Point]
  /// The rate at which the smoothed loss falls fastest; nil where it does not fall.
  public let suggestion: Double?

  /// How much a smoothed loss keeps of the one before: fastai's.
  private static let smoothing = 0.98
  /// The search ends where the smoothed loss is so many times the smallest: fastai's.
  private static let divergence = 4.0

  /// Searches, and leaves the model changed: it is to be thrown away afterwards.
  ///
  /// - Parameters:
  ///   - tuner: a fine-tuning that has not begun.
  ///   - range: the smallest and the largest rate.
  ///   - steps: the number of steps at most.
  ///   - progress: is told the number of steps that are done; may throw to stop.
  /// - Throws: `ImageError` for an image that cannot be read; `TrainingError`; what `progress` throws.
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
    var batches = try tuner.searchBatches(epoch: 0)
    var epoch = 0
    let count = max(steps, 2)
    for step in 0..<count {
      let part = Double(step) / Double(count - 1)
      let rate = range.lowerBound * Foundation.pow(range.upperBound / range.lowerBound, part)
      optimizer.learningRates = ratios.map { $0 * rate }
      var batch = try batches.next()
      if batch == nil {
        epoch += 1
        batches = try tuner.searchBatches(epoch: epoch)
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
    self.points = points
    suggestion = Self.steepest(points.dropFirst(count / 10).dropLast(count / 20))
  }

  /// The rate in the middle of the two steps between which the smoothed loss falls most.
  ///
  /// As in fastai, the first tenth of the steps, whose averages are of few losses, and the last ones are left out.
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
  /// The batches of an epoch of a search.
  func searchBatches(epoch: Int) throws -> TrainingBatches {
    try TrainingBatches(loader, features: nil, options, epoch: epoch, startingAt: 0)
  }

  /// The loss of a batch, from which gradients can be computed.
  func searchLoss(of batch: TrainingBatch) throws -> Variable {
    try loss(start.model.module(batch.inputs), batch.targets)
  }
}
