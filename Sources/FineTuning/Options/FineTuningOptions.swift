/// Everything that decides a fine-tuning's result, beside the images and the weights themselves.
///
/// The defaults are those of the command line.
public struct FineTuningOptions: Sendable, Hashable {
  /// An optimizer.
  public enum OptimizerName: String, Sendable, CaseIterable {
    /// Stochastic gradient descent with momentum.
    case sgd
    /// Adam.
    case adam
    /// Adam with decoupled weight decay.
    case adamw
  }

  /// What the training images go through before the model sees them.
  public enum Augmentation: String, Sendable, CaseIterable {
    /// Resize and center crop, as for evaluation.
    case none
    /// The same, mirrored by chance.
    case flip
    /// RandomResizedCrop and flip, as in torchvision's reference scripts.
    case standard
    /// The same with RandAugment.
    case randaugment
  }

  /// The order in which images are shown.
  public enum Sampler: String, Sendable, CaseIterable {
    /// Each image once an epoch, in random order.
    case shuffled
    /// As many as there are images, each drawn anew: first a class, then one of its images.
    case balanced
  }

  // MARK: Where things come from

  /// The folder of images.
  public var data = ""
  /// The model, as `ModelSpec` reads it.
  public var model = ""
  /// The checkpoint with the weights; nil to train from scratch.
  public var weights: String?
  /// The key of the model's head, where the model does not tell.
  public var head: String?
  /// The part of each class that is split off for validation; nil where there is a folder of validation images.
  public var validationShare: Double?

  // MARK: What learns

  /// What is trained: `all`, `head`, or patterns of parameters' keys.
  public var train = ["all"]
  /// The learning rate.
  public var learningRate = 0.001
  /// The learning rate of the head; nil for ten times ``learningRate``.
  public var headLearningRate: Double?
  /// Learning rates for patterns of keys, `P=RATE`; the last one that matches counts.
  public var learningRates: [String] = []
  /// The factor of the learning rate from a layer to the one before it; nil for 1.
  public var layerDecay: Double?
  /// The optimizer.
  public var optimizer = OptimizerName.sgd
  /// The momentum of SGD.
  public var momentum = 0.9
  /// The weight decay.
  public var weightDecay = 0.001
  /// Whether batch normalization in a frozen backbone goes on updating its statistics.
  public var trainsBatchNorm = false
  /// The probability of the model's dropout layers; nil for the model's own.
  public var dropout: Double?

  // MARK: How long

  /// How the learning rate changes.
  public var schedule = Schedule.cosine
  /// The number of epochs in which the learning rate rises.
  public var warmup = 0
  /// The number of epochs.
  public var epochs = 10
  /// The number of images of a batch.
  public var batchSize = 32
  /// The number of batches whose gradients are added up for a step.
  public var accumulate = 1
  /// The source of everything random.
  public var seed: UInt64 = 0
  /// The longest time to train, in seconds; nil without limit.
  public var maxTime: Double?
  /// The number of epochs without a better result after which the training ends; nil for never.
  public var patience: Int?

  // MARK: Images

  /// The height and width that the model sees, in pixels.
  public var size = 224
  /// The shorter side of an image before its middle is cut out for evaluation, in pixels.
  public var resize = 256
  /// What the training images go through.
  public var augment = Augmentation.standard
  /// The mean of each color that is subtracted, of values from 0 to 1.
  public var mean: [Double] = [0.485, 0.456, 0.406]
  /// The standard deviation by which each color is divided.
  public var standardDeviation: [Double] = [0.229, 0.224, 0.225]
  /// The parameter of mixup's Beta distribution; 0 for no mixup.
  public var mixup = 0.0
  /// The probability of random erasing.
  public var erase = 0.0
  /// Whether images are turned as their EXIF orientation says.
  public var exif = false
  /// The order in which images are shown.
  public var sampler = Sampler.shuffled
  /// Whether images that cannot be read are left out and listed.
  public var skipsBad = false

  // MARK: The loss

  /// The part of a target's probability that is spread over all classes.
  public var labelSmoothing = 0.0
  /// Whether each class counts by the inverse of its number of images.
  public var balancesClasses = false
  /// The largest norm of all gradients together; nil for any.
  public var clipNorm: Double?
  /// The decay of the moving average of the weights; nil for none.
  public var ema: Double?

  /// The defaults.
  public init() {}

  /// The learning rate of the head.
  public var effectiveHeadRate: Double { headLearningRate ?? 10 * learningRate }
}
