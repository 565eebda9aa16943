/// The figures of one epoch of training.
public struct EpochMetrics: Sendable, Hashable {
  /// The number of the epoch, from 1.
  public var epoch: Int
  /// How long it took, with its evaluation, in seconds.
  public var seconds: Double
  /// The mean loss over the images that were trained on, as it was before each step.
  public var trainLoss: Double
  /// The mean cross entropy over the validation images.
  public var validationLoss: Double
  /// The share of validation images whose class has the largest logit, from 0 to 1.
  public var top1: Double
  /// The share of validation images whose class is among the five largest logits, from 0 to 1.
  public var top5: Double
  /// The learning rate of each parameter group in the epoch's first step.
  public var learningRates: [Double]

  /// The figures of an epoch.
  public init(
    epoch: Int, seconds: Double, trainLoss: Double, validationLoss: Double, top1: Double,
    top5: Double, learningRates: [Double]
  ) {
    self.epoch = epoch
    self.seconds = seconds
    self.trainLoss = trainLoss
    self.validationLoss = validationLoss
    self.top1 = top1
    self.top5 = top5
    self.learningRates = learningRates
  }
}
