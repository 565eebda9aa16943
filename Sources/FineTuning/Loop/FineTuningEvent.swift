/// An event of a running fine-tuning.
public enum FineTuningEvent: Sendable {
  /// The features of some images were computed: finished images, and all images.
  case features(done: Int, of: Int)
  /// A step was taken.
  case step(Step)
  /// Some validation images were evaluated: finished images, and all images.
  case evaluating(done: Int, of: Int)
  /// An epoch was trained, evaluated and saved.
  case epoch(EpochMetrics, isBest: Bool)

  /// The progress of a training after a step.
  public struct Step: Sendable {
    /// The number of the epoch, counted from 1.
    public let epoch: Int
    /// The number of steps taken in the epoch.
    public let step: Int
    /// The number of steps in an epoch, if no image is skipped.
    public let stepCount: Int
    /// The mean loss of the epoch's images so far.
    public let loss: Double
    /// The share of the epoch's images so far that were classified correctly, from 0 to 1; nil with
    /// mixup, where images have several classes.
    public let accuracy: Double?
    /// The learning rate of each parameter group in this step.
    public let learningRates: [Double]
    /// The number of images so far in the epoch, and in the whole epoch.
    public let images: (done: Int, all: Int)
    /// The time spent on the epoch so far, in seconds.
    public let seconds: Double
  }
}
