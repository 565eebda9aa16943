internal import ImageData
internal import TrainingCore

extension ImageBatch {
  /// The images as a variable of shape [batch, 3, height, width].
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  func inputs() throws -> Variable { try values.inputs(shape: shape) }

  /// The class index of each image, of shape [batch].
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  func targets() throws -> Variable { try Variable(indices: labels) }
}

extension BatchValues {
  /// The values as a variable of the given shape.
  ///
  /// - Throws: `TrainingError.outOfMemory`; `TrainingError.badShape` for another number of
  ///   elements.
  func inputs(shape: [Int]) throws -> Variable { try Variable(array, shape: shape) }
}
