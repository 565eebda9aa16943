/// What `nn.BatchNorm1d` and `nn.BatchNorm2d` have in common: each channel is brought to mean 0 and
/// variance 1 over the batch, or by running statistics when not training.
open class BatchNorm: Module {
  /// Of shape [channels]; nil without an affine map.
  public let weight: Parameter?
  /// Of shape [channels]; nil without an affine map.
  public let bias: Parameter?
  /// The running mean; nil if none is tracked.
  public let runningMean: Buffer?
  /// The running variance; nil if none is tracked.
  public let runningVar: Buffer?
  /// How many batches running statistics have seen; nil if none are tracked.
  public let numBatchesTracked: Buffer?
  let momentum: Double?
  let epsilon: Double
  let ranks: ClosedRange<Int>

  /// A normalisation of `channels` channels.
  ///
  /// - Parameters:
  ///   - momentum: how far running statistics move towards those of a batch; nil for their mean.
  init(
    _ channels: Int, epsilon: Double, momentum: Double?, affine: Bool, tracksStatistics: Bool,
    ranks: ClosedRange<Int>
  ) throws {
    weight = try affine ? Parameter([channels], .constant(1)) : nil
    bias = try affine ? Parameter([channels], .constant(0)) : nil
    runningMean = try tracksStatistics ? Buffer([channels], 0) : nil
    runningVar = try tracksStatistics ? Buffer([channels], 1) : nil
    numBatchesTracked = try tracksStatistics ? Buffer([], 0, .int64) : nil
    self.momentum = momentum
    self.epsilon = epsilon
    self.ranks = ranks
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try normalized(input, rectifies: false)
  }

  /// The same with `relu` behind it, at once: that saves time and memory.
  public final func rectified(_ input: Variable) throws -> Variable {
    try normalized(input, rectifies: true)
  }

  /// The same with `addend` added to it and then perhaps `relu`, at once.
  func normalized(
    _ input: Variable, adding addend: Variable? = nil, rectifies: Bool
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
      momentum: factor, epsilon: epsilon, adding: addend, rectifies: rectifies)
  }
}

/// Over [batch, channels, height, width]: `nn.BatchNorm2d`.
public final class BatchNorm2d: BatchNorm {
  /// A normalisation of `channels` channels.
  ///
  /// - Parameters:
  ///   - momentum: how far running statistics move towards those of a batch; nil for their mean.
  public init(
    _ channels: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, affine: Bool = true,
    tracksStatistics: Bool = true
  ) throws {
    try super.init(
      channels, epsilon: epsilon, momentum: momentum, affine: affine,
      tracksStatistics: tracksStatistics, ranks: 4...4)
  }
}

/// Over [batch, channels] or [batch, channels, length]: `nn.BatchNorm1d`.
public final class BatchNorm1d: BatchNorm {
  /// A normalisation of `channels` channels.
  ///
  /// - Parameters:
  ///   - momentum: how far running statistics move towards those of a batch; nil for their mean.
  public init(
    _ channels: Int, epsilon: Double = 1e-5, momentum: Double? = 0.1, affine: Bool = true,
    tracksStatistics: Bool = true
  ) throws {
    try super.init(
      channels, epsilon: epsilon, momentum: momentum, affine: affine,
      tracksStatistics: tracksStatistics, ranks: 2...3)
  }
}

/// The last dimensions brought to mean 0 and variance 1: `nn.LayerNorm`.
public final class LayerNorm: Module {
  /// The shape of the last dimensions; 1 at first.
  public let weight: Parameter?
  /// The shape of the last dimensions; 0 at first.
  public let bias: Parameter?
  let shape: [Int]
  let epsilon: Double

  /// A normalisation over the last dimensions, which have that shape.
  public init(
    _ shape: [Int], epsilon: Double = 1e-5, affine: Bool = true, bias: Bool = true
  ) throws {
    self.shape = shape
    self.epsilon = epsilon
    weight = try affine ? Parameter(shape, .constant(1)) : nil
    self.bias = try affine && bias ? Parameter(shape, .constant(0)) : nil
  }

  /// A normalisation over the last dimension.
  public convenience init(_ width: Int, epsilon: Double = 1e-5) throws {
    try self.init([width], epsilon: epsilon)
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.layerNorm(over: shape, weight: weight, bias: bias, epsilon: epsilon)
  }
}

/// The last dimensions divided by their root mean square: `nn.RMSNorm`.
public final class RMSNorm: Module {
  /// The shape of the last dimensions; 1 at first.
  public let weight: Parameter?
  let shape: [Int]
  let epsilon: Double?

  /// A normalisation over the last dimensions, which have that shape.
  ///
  /// - Parameter epsilon: the element type's own, unless given.
  public init(_ shape: [Int], epsilon: Double? = nil, affine: Bool = true) throws {
    self.shape = shape
    self.epsilon = epsilon
    weight = try affine ? Parameter(shape, .constant(1)) : nil
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.rmsNorm(over: shape, weight: weight, epsilon: epsilon)
  }
}

/// Groups of channels brought to mean 0 and variance 1: `nn.GroupNorm`.
public final class GroupNorm: Module {
  /// Of shape [channels]; 1 at first.
  public let weight: Parameter?
  /// Of shape [channels]; 0 at first.
  public let bias: Parameter?
  let groups: Int
  let channels: Int
  let epsilon: Double

  /// A normalisation of `channels` channels in `groups` groups.
  public init(_ groups: Int, _ channels: Int, epsilon: Double = 1e-5, affine: Bool = true) throws {
    guard groups > 0, channels % groups == 0 else {
      throw TrainingError.badArgument(
        operation: "group_norm", problem: "\(channels) channels in \(groups) groups")
    }
    self.groups = groups
    self.channels = channels
    self.epsilon = epsilon
    weight = try affine ? Parameter([channels], .constant(1)) : nil
    bias = try affine ? Parameter([channels], .constant(0)) : nil
  }

  override public func forward(_ input: Variable) throws -> Variable {
    guard input.rank >= 2, input.shape[1] == channels else {
      throw TrainingError.badShape(
        operation: "group_norm", problem: "an input of shape \(input.shape)")
    }
    return try input.groupNorm(groups: groups, weight: weight, bias: bias, epsilon: epsilon)
  }
}
