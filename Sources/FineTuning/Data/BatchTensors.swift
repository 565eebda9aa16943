internal import ImageData
internal import TrainingCore

extension ImageBatch {
  /// The images as a variable of shape [batch, 3, height, width].
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  func inputs() throws -> Variable { try values.inputs(shape: shape) }

  /// The index of each image's class.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  func targets() throws -> Variable { try Variable(indices: labels) }
}

extension BatchValues {
  /// The numbers as a variable of a shape.
  func inputs(shape: [Int]) throws -> Variable { try Variable(array, shape: shape) }
}
