internal import TrainingCore

extension LayerKind {
  /// Activation functions, dropout and identity.
  static let activations: [LayerKind] = [
    LayerKind("ReLU", "inplace") { _, _, _ in DescribedLayer(ReLU()) },
    LayerKind("ReLU6", "inplace") { _, _, _ in DescribedLayer(ReLU6()) },
    LayerKind("SiLU", "inplace") { _, _, _ in DescribedLayer(SiLU()) },
    LayerKind("Hardswish", "inplace") { _, _, _ in DescribedLayer(Hardswish()) },
    LayerKind("Hardsigmoid", "inplace") { _, _, _ in DescribedLayer(Hardsigmoid()) },
    LayerKind("Sigmoid", "") { _, _, _ in DescribedLayer(Sigmoid()) },
    LayerKind("Tanh", "") { _, _, _ in DescribedLayer(Tanh()) },
    LayerKind("LeakyReLU", "negative_slope inplace") { arguments, _, _ in
      DescribedLayer(
        LeakyReLU(negativeSlope: try arguments.number("negative_slope", 0...1, or: 0.01)))
    },
    LayerKind("GELU", "approximate") { arguments, _, _ in
      let form = try arguments.word("approximate", ["none", "tanh"], or: "none")
      return DescribedLayer(GELU(form == "tanh" ? .tanh : .none))
    },
    LayerKind("Softmax", "dim", required: 1) { arguments, _, _ in
      DescribedLayer(Softmax(dimension: try arguments.integer("dim", -8...7)))
    },
    LayerKind("Dropout", "p inplace") { arguments, _, random in
      DescribedLayer(Dropout(try arguments.number("p", 0...1, or: 0.5), from: random))
    },
    LayerKind("Identity", "") { _, _, _ in DescribedLayer(Identity()) },
  ]
}
