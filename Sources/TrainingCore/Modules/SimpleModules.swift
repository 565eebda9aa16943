/// max(x, 0): `nn.ReLU`.
public final class ReLU: Module {
  override public func forward(_ input: Variable) throws -> Variable { try input.relu() }
}

/// x Φ(x): `nn.GELU`.
public final class GELU: Module {
  /// How Φ is computed.
  public enum Approximation: String, Sendable, CaseIterable {
    /// As it is.
    case none
    /// By tanh, as GPT-2 does.
    case tanh
  }

  let approximation: Approximation

  /// The exact function, or its approximation.
  public init(_ approximation: Approximation = .none) { self.approximation = approximation }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.gelu(approximation)
  }
}

/// x sigmoid(x): `nn.SiLU`.
public final class SiLU: Module {
  override public func forward(_ input: Variable) throws -> Variable { try input.silu() }
}

/// 1 / (1 + exp(-x)): `nn.Sigmoid`.
public final class Sigmoid: Module {
  override public func forward(_ input: Variable) throws -> Variable { try input.sigmoid() }
}

/// The hyperbolic tangent: `nn.Tanh`.
public final class Tanh: Module {
  override public func forward(_ input: Variable) throws -> Variable { try input.tanh() }
}

/// exp(x) / Σ exp(x) along a dimension: `nn.Softmax`.
public final class Softmax: Module {
  let dimension: Int

  /// Along the last dimension unless told.
  public init(dimension: Int = -1) { self.dimension = dimension }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.softmax(dimension: dimension)
  }
}

/// Zeroes elements at random while training: `nn.Dropout`.
public final class Dropout: Module {
  let probability: Double
  let random: RandomSource

  /// Each element is zeroed with that probability.
  public init(_ probability: Double = 0.5, from random: RandomSource = .shared) {
    self.probability = probability
    self.random = random
  }

  override public func forward(_ input: Variable) throws -> Variable {
    isTraining ? try input.dropout(probability, from: random) : input
  }
}

/// Dimensions made one: `nn.Flatten`.
public final class Flatten: Module {
  let first: Int
  let last: Int

  /// Dimensions `from` to `to`; all but the batch unless told.
  public init(from: Int = 1, to: Int = -1) {
    first = from
    last = to
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.flattened(from: first, to: last)
  }
}

/// The largest of each window: `nn.MaxPool2d`.
public final class MaxPool2d: Module {
  let kernelSize: Pair
  let stride: Pair?
  let padding: Pair
  let dilation: Pair
  let roundsUp: Bool

  /// Windows of that size; side by side unless a stride is given.
  public init(
    _ kernelSize: Pair, stride: Pair? = nil, padding: Pair = 0, dilation: Pair = 1,
    roundsUp: Bool = false
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.roundsUp = roundsUp
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.maxPool2d(
      kernelSize, stride: stride, padding: padding, dilation: dilation, roundsUp: roundsUp)
  }
}

/// The mean of each window: `nn.AvgPool2d`.
public final class AvgPool2d: Module {
  let kernelSize: Pair
  let stride: Pair?
  let padding: Pair
  let roundsUp: Bool
  let countsPadding: Bool

  /// Windows of that size; side by side unless a stride is given.
  public init(
    _ kernelSize: Pair, stride: Pair? = nil, padding: Pair = 0, roundsUp: Bool = false,
    countsPadding: Bool = true
  ) {
    self.kernelSize = kernelSize
    self.stride = stride
    self.padding = padding
    self.roundsUp = roundsUp
    self.countsPadding = countsPadding
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.averagePool2d(
      kernelSize, stride: stride, padding: padding, roundsUp: roundsUp,
      countsPadding: countsPadding)
  }
}

/// Means over windows chosen to give an output of a size: `nn.AdaptiveAvgPool2d`.
public final class AdaptiveAvgPool2d: Module {
  let output: Pair

  /// An output of that size.
  public init(_ output: Pair) { self.output = output }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.adaptiveAveragePool2d(output)
  }
}
