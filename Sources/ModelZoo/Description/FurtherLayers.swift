internal import TrainingCore

// Layers that descriptions may name and that the training core does not have, made of what it has.

/// A layer of images over rows [batch, channels, length].
final class OverRows: Module {
  private let layer: Module

  init(_ layer: Module) { self.layer = layer }

  // It has no tensors, and so no keys.
  override var members: [(key: String, member: Member)] { [] }

  override func forward(_ input: Variable) throws -> Variable {
    guard input.rank == 3 else {
      throw TrainingError.badShape(operation: "pool", problem: "rows of shape \(input.shape)")
    }
    return try layer(input.unsqueezed(2)).squeezed(2)
  }
}

/// x min(max(x + 3, 0), 6) / 6: `nn.Hardswish`.
final class Hardswish: Module {
  override func forward(_ input: Variable) throws -> Variable {
    try input * (input + 3).relu6() * (1.0 / 6)
  }
}

/// min(max(x + 3, 0), 6) / 6: `nn.Hardsigmoid`.
final class Hardsigmoid: Module {
  override func forward(_ input: Variable) throws -> Variable {
    try (input + 3).relu6() * (1.0 / 6)
  }
}

/// max(x, 0) + slope min(x, 0): `nn.LeakyReLU`.
final class LeakyReLU: Module {
  private let slope: Double

  init(_ slope: Double) { self.slope = slope }

  override func forward(_ input: Variable) throws -> Variable {
    try input.relu() - (-input).relu() * slope
  }
}

/// The dimensions in another order: torchvision's `Permute`.
final class Permute: Module {
  private let order: [Int]

  init(_ order: [Int]) { self.order = order }

  override func forward(_ input: Variable) throws -> Variable { try input.permuted(order) }
}

/// The channels of each pixel brought to mean 0 and variance 1: torchvision's and timm's `LayerNorm2d`.
final class LayerNorm2d: Module {
  let weight: Parameter
  let bias: Parameter
  private let epsilon: Double

  init(_ channels: Int, epsilon: Double) throws {
    weight = try Parameter([channels], .constant(1))
    bias = try Parameter([channels], .constant(0))
    self.epsilon = epsilon
  }

  override func forward(_ input: Variable) throws -> Variable {
    try input.permuted([0, 2, 3, 1]).layerNorm(
      over: weight.shape, weight: weight, bias: bias, epsilon: epsilon
    ).permuted([0, 3, 1, 2])
  }
}

/// Attention and two linear maps, each beside its input: `nn.TransformerEncoderLayer`, with the batch first.
final class TransformerEncoderLayer: Module {
  let selfAttn: MultiheadAttention
  let linear1: Linear
  let linear2: Linear
  let norm1: LayerNorm
  let norm2: LayerNorm
  let dropout: Dropout
  private let usesGELU: Bool
  private let normsFirst: Bool

  init(
    _ width: Int, heads: Int, hidden: Int, dropout: Double, usesGELU: Bool, epsilon: Double,
    normsFirst: Bool, bias: Bool, from random: RandomSource
  ) throws {
    selfAttn = try MultiheadAttention(
      width, heads: heads, dropout: dropout, bias: bias, from: random)
    linear1 = try Linear(width, hidden, bias: bias, from: random)
    linear2 = try Linear(hidden, width, bias: bias, from: random)
    norm1 = try LayerNorm([width], epsilon: epsilon, bias: bias)
    norm2 = try LayerNorm([width], epsilon: epsilon, bias: bias)
    self.dropout = Dropout(dropout, from: random)
    self.usesGELU = usesGELU
    self.normsFirst = normsFirst
  }

  private func feedForward(_ input: Variable) throws -> Variable {
    let hidden = try linear1(input)
    return try dropout(linear2(dropout(usesGELU ? hidden.gelu() : hidden.relu())))
  }

  override func forward(_ input: Variable) throws -> Variable {
    if normsFirst {
      let value = try input + dropout(selfAttn(norm1(input)))
      return try value + feedForward(norm2(value))
    }
    let value = try norm1(input + dropout(selfAttn(input)))
    return try norm2(value + feedForward(value))
  }
}
