/// The common part of ``BatchNorm1d`` and ``BatchNorm2d``: each channel is normalized to mean 0 and
/// variance 1 over the batch, or with running statistics when not training (Ioffe and Szegedy,
/// arXiv:1502.03167).
public class BatchNorm: Module {
  /// The scales, of shape [channels], 1 at first; nil if `affine` is false.
  public let weight: Parameter?
  /// The shifts, of shape [channels], 0 at first; nil if `affine` is false.
  public let bias: Parameter?
  /// The running means, of shape [channels]; nil if none are tracked.
  public let runningMean: Buffer?
  /// The running variances, of shape [channels]; nil if none are tracked.
  public let runningVar: Buffer?
  /// The number of batches in the running statistics, one int64; nil if none are tracked.
  public let numBatchesTracked: Buffer?
  let momentum: Double?
  let epsilon: Double
  let ranks: ClosedRange<Int>

  init(
    _ numFeatures: Int, epsilon: Double, momentum: Double?, affine: Bool, trackRunningStats: Bool,
    ranks: ClosedRange<Int>
  ) throws {
    weight = try affine ? Parameter([numFeatures], .constant(1)) : nil
    bias = try affine ? Parameter([numFeatures], .constant(0)) : nil
    runningMean = try trackRunningStats ? Buffer([numFeatures], 0) : nil
    runningVar = try trackRunningStats ? Buffer([numFeatures], 1) : nil
    numBatchesTracked = try trackRunningStats ? Buffer([], 0, .int64) : nil
    self.momentum = momentum
    self.epsilon = epsilon
    self.ranks = ranks
  }

  /// The normalized input; running statistics move when training.
  ///
  /// - Parameter input: of shape [batch, channels, ...].
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit, or if
  ///   there is only one value per channel to train with.
  override public func forward(_ input: Variable) throws -> Variable {
    try normalized(input, relu: false)
  }

  /// The normalized input plus `addend`, through a rectifier if `relu`: what the modules give one
  /// by one, with fewer passes over memory.
  ///
  /// - Parameters:
  ///   - input: of shape [batch, channels, ...].
  ///   - addend: of the shape of `input`; nil for nothing.
  ///   - relu: whether `max(x, 0)` is applied at the end.
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if shapes or element types do not fit, or if there is only one value
  ///   per channel to train with.
  public final func normalized(
    _ input: Variable, adding addend: Variable? = nil, relu: Bool
  ) throws -> Variable {
    guard ranks.contains(input.rank) else {
      throw TrainingError.badShape(
        operation: "batch_norm", problem: "an input of shape \(input.shape)")
    }
    var factor = momentum ?? 0
    if isTraining, let numBatchesTracked {
      let seen = try numBatchesTracked.item() + 1
      numBatchesTracked.fill(seen)
      if momentum == nil { factor = 1 / seen }
    }
    return try input.batchNorm(
      weight: weight, bias: bias, mean: runningMean, variance: runningVar, isTraining: isTraining,
      momentum: factor, epsilon: epsilon, adding: addend, relu: relu)
  }
}

/// Batch normalization of images [batch, channels, height, width]: PyTorch's `nn.BatchNorm2d`.
public final class BatchNorm2d: BatchNorm {
  /// A normalization with scales of 1, shifts of 0 and statistics of mean 0 and variance 1.
  ///
  /// - Parameters:
  ///   - numFeatures: the number of channels.
  ///   - epsilon: added to the variance, `eps` in PyTorch.
  ///   - momentum: how far running statistics move towards those of a batch, from 0 to 1; nil for
  ///     the mean of all batches.
  ///   - affine: whether there are scales and shifts.
  ///   - trackRunningStats: whether there are running statistics.
  /// - Throws: `TrainingError.badShape` for a size that no tensor has; `TrainingError.outOfMemory`.
  public init(
    _ numFeatures: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, affine: Bool = true,
    trackRunningStats: Bool = true
  ) throws {
    try super.init(
      numFeatures, epsilon: epsilon, momentum: momentum, affine: affine,
      trackRunningStats: trackRunningStats, ranks: 4...4)
  }
}

/// Batch normalization of vectors [batch, channels] or sequences [batch, channels, length]:
/// PyTorch's `nn.BatchNorm1d`.
public final class BatchNorm1d: BatchNorm {
  /// A normalization with scales of 1, shifts of 0 and statistics of mean 0 and variance 1.
  ///
  /// - Parameters:
  ///   - numFeatures: the number of channels.
  ///   - epsilon: added to the variance, `eps` in PyTorch.
  ///   - momentum: how far running statistics move towards those of a batch, from 0 to 1; nil for
  ///     the mean of all batches.
  ///   - affine: whether there are scales and shifts.
  ///   - trackRunningStats: whether there are running statistics.
  /// - Throws: `TrainingError.badShape` for a size that no tensor has; `TrainingError.outOfMemory`.
  public init(
    _ numFeatures: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, affine: Bool = true,
    trackRunningStats: Bool = true
  ) throws {
    try super.init(
      numFeatures, epsilon: epsilon, momentum: momentum, affine: affine,
      trackRunningStats: trackRunningStats, ranks: 2...3)
  }
}

/// The last dimensions normalized to mean 0 and variance 1: PyTorch's `nn.LayerNorm` (Ba et al.,
/// arXiv:1607.06450).
public final class LayerNorm: Module {
  /// The scales, of the shape of the last dimensions, 1 at first; nil without an affine map.
  public let weight: Parameter?
  /// The shifts, of the shape of the last dimensions, 0 at first; nil without.
  public let bias: Parameter?
  let shape: [Int]
  let epsilon: Double

  /// A normalization over the last dimensions.
  ///
  /// - Parameters:
  ///   - normalizedShape: the sizes of the last dimensions.
  ///   - epsilon: added to the variance, `eps` in PyTorch.
  ///   - elementwiseAffine: whether there are scales.
  ///   - bias: whether there are shifts, if there are scales.
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public init(
    _ normalizedShape: [Int], epsilon: Double = 1e-5, elementwiseAffine: Bool = true,
    bias: Bool = true
  ) throws {
    shape = normalizedShape
    self.epsilon = epsilon
    weight = try elementwiseAffine ? Parameter(shape, .constant(1)) : nil
    self.bias = try elementwiseAffine && bias ? Parameter(shape, .constant(0)) : nil
  }

  /// A normalization over the last dimension, with scales and shifts.
  ///
  /// - Parameters:
  ///   - normalizedShape: the size of the last dimension.
  ///   - epsilon: added to the variance, `eps` in PyTorch.
  /// - Throws: `TrainingError.badShape` for a size that no tensor has; `TrainingError.outOfMemory`.
  public convenience init(_ normalizedShape: Int, epsilon: Double = 1e-5) throws {
    try self.init([normalizedShape], epsilon: epsilon)
  }

  /// The normalized input.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.layerNorm(over: shape, weight: weight, bias: bias, epsilon: epsilon)
  }
}

/// The channels of each pixel normalized to mean 0 and variance 1: torchvision's and timm's
/// `LayerNorm2d`.
public final class LayerNorm2d: Module {
  /// The scales, of shape [channels], 1 at first.
  public let weight: Parameter
  /// The shifts, of shape [channels], 0 at first.
  public let bias: Parameter
  private let epsilon: Double

  /// A normalization with scales of 1 and shifts of 0.
  ///
  /// - Parameters:
  ///   - numChannels: the number of channels.
  ///   - epsilon: added to the variance, `eps` in PyTorch.
  /// - Throws: `TrainingError.badShape` for a size that no tensor has; `TrainingError.outOfMemory`.
  public init(_ numChannels: Int, epsilon: Double = 1e-6) throws {
    weight = try Parameter([numChannels], .constant(1))
    bias = try Parameter([numChannels], .constant(0))
    self.epsilon = epsilon
  }

  /// The normalized input.
  ///
  /// - Parameter input: of shape [batch, channels, height, width].
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.permuted([0, 2, 3, 1]).layerNorm(
      over: weight.shape, weight: weight, bias: bias, epsilon: epsilon
    ).permuted([0, 3, 1, 2])
  }
}

/// The last dimensions divided by their root mean square: PyTorch's `nn.RMSNorm` (Zhang and
/// Sennrich, arXiv:1910.07467).
public final class RMSNorm: Module {
  /// The scales, of the shape of the last dimensions, 1 at first; nil without.
  public let weight: Parameter?
  let shape: [Int]
  let epsilon: Double?

  /// A normalization over the last dimensions.
  ///
  /// - Parameters:
  ///   - normalizedShape: the sizes of the last dimensions.
  ///   - epsilon: added to the mean square, `eps` in PyTorch; the element type's machine epsilon
  ///     unless given.
  ///   - elementwiseAffine: whether there are scales.
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public init(_ normalizedShape: [Int], epsilon: Double? = nil, elementwiseAffine: Bool = true)
    throws
  {
    shape = normalizedShape
    self.epsilon = epsilon
    weight = try elementwiseAffine ? Parameter(shape, .constant(1)) : nil
  }

  /// The normalized input.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.rmsNorm(over: shape, weight: weight, epsilon: epsilon)
  }
}

/// Groups of channels normalized to mean 0 and variance 1: PyTorch's `nn.GroupNorm` (Wu and He,
/// arXiv:1803.08494).
public final class GroupNorm: Module {
  /// The scales, of shape [channels], 1 at first; nil without an affine map.
  public let weight: Parameter?
  /// The shifts, of shape [channels], 0 at first; nil without an affine map.
  public let bias: Parameter?
  let groups: Int
  let channels: Int
  let epsilon: Double

  /// A normalization of channels in groups.
  ///
  /// - Parameters:
  ///   - numGroups: the number of groups.
  ///   - numChannels: the number of channels, a multiple of the groups.
  ///   - epsilon: added to the variance, `eps` in PyTorch.
  ///   - affine: whether there are scales and shifts.
  /// - Throws: `TrainingError.badArgument` if the groups do not divide the channels;
  ///   `TrainingError.badShape` for a size that no tensor has; `TrainingError.outOfMemory`.
  public init(_ numGroups: Int, _ numChannels: Int, epsilon: Double = 1e-5, affine: Bool = true)
    throws
  {
    guard numGroups > 0, numChannels % numGroups == 0 else {
      throw TrainingError.badArgument(
        operation: "group_norm", problem: "\(numChannels) channels in \(numGroups) groups")
    }
    groups = numGroups
    channels = numChannels
    self.epsilon = epsilon
    weight = try affine ? Parameter([numChannels], .constant(1)) : nil
    bias = try affine ? Parameter([numChannels], .constant(0)) : nil
  }

  /// The normalized input.
  ///
  /// - Parameter input: of shape [batch, channels, ...].
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    guard input.rank >= 2, input.shape[1] == channels else {
      throw TrainingError.badShape(
        operation: "group_norm", problem: "an input of shape \(input.shape)")
    }
    return try input.groupNorm(groups: groups, weight: weight, bias: bias, epsilon: epsilon)
  }
}
