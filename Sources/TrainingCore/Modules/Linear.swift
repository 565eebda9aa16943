internal import Foundation

/// `x Wᵀ + b`: `nn.Linear`.
public final class Linear: Module {
  /// Of shape [outputs, inputs].
  public let weight: Parameter
  /// Of shape [outputs].
  public let bias: Parameter?

  /// A map from `inputs` numbers to `outputs`.
  ///
  /// - Throws: `TrainingError` for sizes that make no sense.
  public init(
    _ inputs: Int, _ outputs: Int, bias: Bool = true, from random: RandomSource = .shared
  ) throws {
    weight = try Parameter([outputs, inputs], .kaimingUniform(a: 5.0.squareRoot()), from: random)
    self.bias = try bias ? Parameter([outputs], .bias(inputs: inputs), from: random) : nil
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.linear(weight, bias)
  }
}

extension Initialization {
  /// What PyTorch gives the bias of a layer with so many inputs per output: within 1 / √inputs.
  static func bias(inputs: Int) -> Initialization {
    let bound = inputs > 0 ? 1 / Double(inputs).squareRoot() : 0
    return .uniform(-bound, bound)
  }
}

/// A table of vectors looked up by number: `nn.Embedding`.
public final class Embedding: Module {
  /// Of shape [count, width].
  public let weight: Parameter
  /// The row that is zero at first and never learns.
  public let paddingIndex: Int?

  /// A table of `count` vectors of `width` numbers.
  public init(
    _ count: Int, _ width: Int, paddingIndex: Int? = nil, from random: RandomSource = .shared
  ) throws {
    if let paddingIndex, !(0..<max(count, 0)).contains(paddingIndex) {
      throw TrainingError.badArgument(
        operation: "embedding", problem: "padding index \(paddingIndex) of \(count) rows")
    }
    let shape = [count, width]
    // Impossible shapes are refused before a row's place is worked out.
    _ = try Variable.byteCount(shape, .float32)
    let start = (paddingIndex ?? 0) * width
    weight = try Parameter(
      shape, .normal(mean: 0, deviation: 1),
      zeroing: start..<start + (paddingIndex == nil ? 0 : width), from: random)
    self.paddingIndex = paddingIndex
  }

  /// Sets the padding row to zero.
  func clearPadding() throws {
    guard let paddingIndex else { return }
    let row = try weight.detached().selected(paddingIndex)
    try row.assign(Variable.zeros(row.shape, row.scalarType))
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try weight.rows(at: input, paddingIndex: paddingIndex)
  }
}
