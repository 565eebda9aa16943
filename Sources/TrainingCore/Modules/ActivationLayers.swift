/// The rectifier max(x, 0): PyTorch's `nn.ReLU`.
public final class ReLU: Module {
  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.relu() }
}

/// min(max(x, 0), 6): PyTorch's `nn.ReLU6`.
public final class ReLU6: Module {
  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.relu6() }
}

/// max(x, 0) + slope · min(x, 0): PyTorch's `nn.LeakyReLU`.
public final class LeakyReLU: Module {
  let negativeSlope: Double

  /// A rectifier whose slope below 0 is `negativeSlope`.
  public init(negativeSlope: Double = 0.01) { self.negativeSlope = negativeSlope }

  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.leakyReLU(negativeSlope: negativeSlope)
  }
}

/// x Φ(x), where Φ is the distribution function of the standard normal distribution: PyTorch's
/// `nn.GELU` (Hendrycks and Gimpel, arXiv:1606.08415).
public final class GELU: Module {
  /// How Φ is computed, `approximate` in PyTorch.
  public enum Approximation: String, Sendable, CaseIterable {
    /// Exactly, by the error function.
    case none
    /// By tanh, as GPT-2 does.
    case tanh
  }

  let approximate: Approximation

  /// The exact function, or its approximation.
  public init(_ approximate: Approximation = .none) { self.approximate = approximate }

  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.gelu(approximate) }
}

/// x / (1 + exp(-x)), also called swish: PyTorch's `nn.SiLU`.
public final class SiLU: Module {
  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.silu() }
}

/// 1 / (1 + exp(-x)): PyTorch's `nn.Sigmoid`.
public final class Sigmoid: Module {
  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.sigmoid() }
}

/// The hyperbolic tangent: PyTorch's `nn.Tanh`.
public final class Tanh: Module {
  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.tanh() }
}

/// x min(max(x + 3, 0), 6) / 6: PyTorch's `nn.Hardswish` (Howard et al., arXiv:1905.02244).
public final class Hardswish: Module {
  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.hardswish() }
}

/// min(max(x + 3, 0), 6) / 6: PyTorch's `nn.Hardsigmoid`.
public final class Hardsigmoid: Module {
  /// The function of each element.
  ///
  /// - Returns: a variable of the shape of `input`.
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable { try input.hardsigmoid() }
}

/// exp(x) / Σ exp(x) along a dimension: PyTorch's `nn.Softmax`.
public final class Softmax: Module {
  let dimension: Int

  /// A softmax along a dimension; negative ones count from the end.
  public init(dimension: Int = -1) { self.dimension = dimension }

  /// The softmax of `input`.
  ///
  /// - Returns: a variable of the shape of `input`, whose elements add up to 1 along the dimension.
  /// - Throws: `TrainingError` if the input lacks the dimension or its elements are not
  ///   floating-point numbers.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.softmax(dimension: dimension)
  }
}
