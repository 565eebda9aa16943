internal import Foundation

/// A linear layer, `x Wᵀ + b`: PyTorch's `nn.Linear`.
public final class Linear: Module {
  /// The weight, of shape [outputs, inputs].
  public let weight: Parameter
  /// The bias, of shape [outputs]; nil without one.
  public let bias: Parameter?

  /// A layer with PyTorch's initialization: uniform within 1 / √inputs.
  ///
  /// - Parameters:
  ///   - inFeatures: the size of the input's last dimension.
  ///   - outFeatures: the size of the output's last dimension.
  ///   - bias: whether there is a bias.
  ///   - random: the source of the initial values.
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public init(
    _ inFeatures: Int, _ outFeatures: Int, bias: Bool = true, from random: RandomSource = .shared
  ) throws {
    weight = try Parameter(
      [outFeatures, inFeatures], .kaimingUniform(a: 5.0.squareRoot()), from: random)
    self.bias = try bias ? Parameter([outFeatures], .bias(inputs: inFeatures), from: random) : nil
  }

  /// The layer applied to the last dimension of `input`.
  ///
  /// - Parameter input: of shape [..., inputs].
  /// - Returns: a variable of shape [..., outputs].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit, or without
  ///   a library for matrix products.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.linear(weight, bias)
  }
}

extension Initialization {
  /// PyTorch's initialization of the bias of a layer with that fan-in: uniform within 1 / √inputs.
  static func bias(inputs: Int) -> Initialization {
    let bound = inputs > 0 ? 1 / Double(inputs).squareRoot() : 0
    return .uniform(-bound, bound)
  }
}
