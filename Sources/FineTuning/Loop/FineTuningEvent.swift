/// What a fine-tuning tells while it runs.
public enum FineTuningEvent: Sendable {
  /// The features of frozen parts are computed once: images done, of how many.
  case features(done: Int, of: Int)
  /// A step is done.
  case step(Step)
  /// The validation images are evaluated: images done, of how many.
  case evaluating(done: Int, of: Int)
  /// An epoch is done and saved.
  case epoch(EpochMetrics, isBest: Bool)

  /// Where a training is after a step.
  public struct Step: Sendable {
    /// The number of the epoch, from 1.
    public let epoch: Int
    /// The number of steps of the epoch that are done.
    public let step: Int
    /// The number of steps of an epoch.
    public let stepCount: Int
    /// The mean loss of the epoch's images so far.
    public let loss: Double
    /// The share of the epoch's images so far that were classified rightly; nil with mixup, where images have no one
    /// class.
    public let accuracy: Double?
    /// The learning rate of each parameter group in this step.
    public let learningRates: [Double]
    /// The number of images of the epoch so far, and of the whole epoch.
    public let images: (done: Int, all: Int)
    /// The time of the epoch so far, in seconds.
    public let seconds: Double
  }
}
