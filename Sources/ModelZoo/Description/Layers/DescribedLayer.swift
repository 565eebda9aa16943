internal import TrainingCore

/// A layer of a described model, with its output shape for each input shape.
struct DescribedLayer {
  let module: Module
  /// The input of a model that begins with this layer; nil if the layer does not determine it.
  let input: ModelInput?
  /// The number of output features or channels; nil if it is that of the input.
  let outputs: Int?
  /// The output shape for an input shape; throws `LayerError` for inputs that the layer does not take.
  let outputShape: ([Int]) throws -> [Int]

  /// A layer; its output has its input's shape by default.
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
