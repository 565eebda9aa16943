internal import TrainingCore

/// A layer that was made, and the shape that it makes of an input's.
struct DescribedLayer {
  let module: Module
  /// What a model takes whose first layer it is; nil where the layer does not tell.
  let input: ModelInput?
  /// How many numbers or channels come out, where that is the layer's own choice.
  let outputs: Int?
  /// Throws `LayerError` for inputs that the layer cannot take.
  let outputShape: ([Int]) throws -> [Int]

  /// A layer whose output has its input's shape, unless told.
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
