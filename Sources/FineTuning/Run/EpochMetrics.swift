/// The metrics of one epoch: of training, and of the evaluation after it.
public struct EpochMetrics: Sendable, Hashable {
  /// The number of the epoch, counted from 1.
  public var epoch: Int
  /// The duration of training and evaluation, in seconds.
  public var seconds: Double
  /// The mean loss of the training images, each computed before the step that it was part of.
  public var trainLoss: Double
  /// The mean cross entropy of the validation images.
  public var validationLoss: Double
  /// The share of validation images whose class has the largest logit, from 0 to 1.
  public var top1: Double
  /// The share of validation images whose class is among the five largest logits, from 0 to 1.
  public var top5: Double
  /// The learning rate of each parameter group in the first step of the epoch.
  public var learningRates: [Double]

  /// Creates the metrics of an epoch.
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
