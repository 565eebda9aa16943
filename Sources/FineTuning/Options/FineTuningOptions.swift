/// The options of a fine-tuning: everything that decides its result, besides the images and the
/// weights.
///
/// The defaults are those of `ckpt finetune`.
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

  /// The random transforms of the training images.
  public enum Augmentation: String, Sendable, CaseIterable {
    /// Resize and CenterCrop, as for evaluation; nothing random.
    case none
    /// The same, and a random horizontal flip.
    case flip
    /// RandomResizedCrop and a random horizontal flip, as in torchvision's reference scripts.
    case standard
    /// The same, and RandAugment.
    case randaugment
  }

  /// The order in which images are shown.
  public enum Sampler: String, Sendable, CaseIterable {
    /// Each image once per epoch, in random order.
    case shuffled
    /// As many samples as there are images, drawn with replacement: first a class, each with the
    /// same probability, then one of its images.
    case balanced
  }

  // MARK: Where things come from

  /// The path of the folder of images.
  public var data = ""
  /// The model, as `ModelSpec` parses it.
  public var model = ""
  /// The path of the checkpoint with the weights; nil to train from scratch.
  public var weights: String?
  /// The key of the model's head, needed if the model's description does not name it.
  public var head: String?
  /// The share of each class that is split off for validation, above 0 and below 1; nil for the
  /// default, or if there is a folder of validation images.
  public var validationShare: Double?

  // MARK: What learns

  /// The parameters that are trained: `all`, `head`, or patterns of their keys.
  public var train = ["all"]
  /// The learning rate of the backbone.
  public var learningRate = 0.001
  /// The learning rate of the head; nil for ten times ``learningRate``.
  public var headLearningRate: Double?
  /// Learning rates of the parameters whose keys match a pattern, as `PATTERN=RATE`; the last match
  /// counts.
  public var learningRates: [String] = []
  /// The factor of the learning rate from each layer to the layer before it, above 0 and up to 1;
  /// nil for 1.
  public var layerDecay: Double?
  /// The optimizer.
  public var optimizer = OptimizerName.sgd
  /// The momentum of SGD, from 0 up to 1.
  public var momentum = 0.9
  /// The weight decay.
  public var weightDecay = 0.001
  /// Whether the batch norms of a frozen backbone are in training mode and update their running
  /// statistics.
  public var trainsBatchNorm = false
  /// The probability of all dropout layers; nil for those of the model.
  public var dropout: Double?

  // MARK: How long

  /// The schedule of the learning rates.
  public var schedule = Schedule.cosine
  /// The number of epochs of warm-up, in which the learning rates rise.
  public var warmup = 0
  /// The number of epochs.
  public var epochs = 10
  /// The number of images in a batch.
  public var batchSize = 32
  /// The number of batches whose gradients are added up for one optimizer step.
  public var accumulate = 1
  /// The seed of everything random.
  public var seed: UInt64 = 0
  /// The time after which the training stops, in seconds; nil for no limit.
  public var maxTime: Double?
  /// The number of epochs without a better one after which the training stops; nil for no limit.
  public var patience: Int?

  // MARK: Images

  /// The height and width of the model's input, in pixels.
  public var size = 224
  /// The length to which the shorter side of an image is resized before its center is cropped, in
  /// pixels.
  public var resize = 256
  /// The random transforms of the training images.
  public var augment = Augmentation.standard
  /// The means of red, green and blue, on a scale from 0 to 1, that are subtracted.
  public var mean: [Double] = [0.485, 0.456, 0.406]
  /// The standard deviations of red, green and blue, by which is divided after that.
  public var standardDeviation: [Double] = [0.229, 0.224, 0.225]
  /// Both parameters of mixup's Beta distribution; 0 for no mixup.
  public var mixup = 0.0
  /// The probability of random erasing, from 0 to 1.
  public var erase = 0.0
  /// Whether images are rotated and mirrored by their EXIF orientation.
  public var exif = false
  /// The order in which images are shown.
  public var sampler = Sampler.shuffled
  /// Whether images that cannot be read are skipped and listed; otherwise they are errors.
  public var skipsBad = false

  // MARK: The loss

  /// The share of each target that is spread over all classes (label smoothing), from 0 up to 1.
  public var labelSmoothing = 0.0
  /// Whether the loss of each class is weighted by the inverse of its number of training images.
  public var balancesClasses = false
  /// The total norm to which gradients are clipped; nil for no clipping.
  public var clipNorm: Double?
  /// The decay of the moving averages of the weights, from 0 up to 1; nil for none.
  public var ema: Double?

  /// Creates the default options.
  public init() {}

  /// The learning rate of the head: ``headLearningRate``, or its default.
  public var effectiveHeadRate: Double { headLearningRate ?? 10 * learningRate }
}
