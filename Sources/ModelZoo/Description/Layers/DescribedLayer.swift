internal import TrainingCore

/// A layer of a described model, with its output shape for each input shape.
struct DescribedLayer {
  let module: Module
  /// The input of a model that begins with this layer; nil if the layer does not determine it.
  let input: ModelInput?
  /// The number of output features or channels; nil if it equals the input's.
  let outputs: Int?
  /// The output shape for an input shape; throws `LayerError` if the layer does not accept the
  /// input.
  let outputShape: ([Int]) throws -> [Int]

  /// Creates a layer; its output has the input's shape by default.
  init(
    _ module: Module, input: ModelInput? = nil, outputs: Int? = nil,
    _ outputShape: @escaping ([Int]) throws -> [Int] = { $0 }
  ) {
    self.module = module
    self.input = input
    self.outputs = outputs
    self.outputShape = outputShape
  }
}
