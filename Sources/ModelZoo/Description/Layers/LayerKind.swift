internal import TrainingCore

/// A type of layer that descriptions may use, with PyTorch's name, and PyTorch's parameters in
/// order.
struct LayerKind: Sendable {
  let name: String
  let parameters: [String]
  /// The number of leading parameters without default.
  let required: Int
  /// Whether it has parameters or buffers.
  let hasTensors: Bool
  let make: @Sendable (LayerArguments, Allowance, RandomSource) throws -> DescribedLayer

  init(
    _ name: String, _ parameters: String, required: Int = 0, hasTensors: Bool = false,
    _ make: @escaping @Sendable (LayerArguments, Allowance, RandomSource) throws -> DescribedLayer
  ) {
    self.name = name
    self.parameters = parameters.split(separator: " ").map(String.init)
    self.required = required
    self.hasTensors = hasTensors
    self.make = make
  }

  /// All kinds by name.
  static func all() -> [String: LayerKind] {
    Dictionary(
      (weighted + normalizations + attention + activations + pooling + reshaping).map {
        ($0.name, $0)
      },
      uniquingKeysWith: { first, _ in first })
  }
}
