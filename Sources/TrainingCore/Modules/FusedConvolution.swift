extension Conv2d {
  /// The convolution followed by `norm`, plus `addend`, through a rectifier if `relu`: a residual
  /// block's end, or any part of it.
  ///
  /// The result is that of the modules one by one, with fewer passes over memory. If no gradients
  /// are recorded and `norm` uses running statistics, all of it is computed while the convolution
  /// writes its outputs.
  /// - Parameters:
  ///   - input: of shape [batch, inputs, height, width].
  ///   - norm: normalizes the convolution's outputs.
  ///   - addend: of the outputs' shape; nil for nothing.
  ///   - relu: whether `max(x, 0)` is applied at the end.
  /// - Returns: a variable of shape [batch, outputs, output height, output width].
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func normalized(
    _ input: Variable, by norm: BatchNorm2d, adding addend: Variable? = nil, relu: Bool
  ) throws -> Variable {
    try normalizedAtOnce(input, by: norm, adding: addend, relu: relu)
      ?? norm.normalized(self(input), adding: addend, relu: relu)
  }

  /// Computes the same in one pass; nil if that is not possible.
  private func normalizedAtOnce(
    _ input: Variable, by norm: BatchNorm2d, adding addend: Variable?, relu: Bool
  ) throws -> Variable? {
    guard !norm.isTraining, let mean = norm.runningMean, let variance = norm.runningVar else {
      return nil
    }
    let all: [Variable] =
      [input, weight, mean, variance]
      + [bias, norm.weight, norm.bias, addend].compactMap(\.self)
    guard all.allSatisfy({ $0.scalarType == .float32 }), mean.count == weight.shape[0],
      !GradientMode.isRecording || !all.contains(where: \.requiresGrad)
    else { return nil }
    var (scale, shift) = (try variance.floats(), try mean.floats())
    let factors = try norm.weight?.floats()
    let offsets = try norm.bias?.floats()
    let biases = try bias?.floats()
    for i in scale.indices {
      let factor = Double(factors?[i] ?? 1) / (Double(scale[i]) + norm.epsilon).squareRoot()
      scale[i] = Float(factor)
      shift[i] = Float(
        Double(offsets?[i] ?? 0) + (Double(biases?[i] ?? 0) - Double(shift[i])) * factor)
    }
    return try input.convolved(
      weight, options, scale: scale, shift: shift, adding: addend, relu: relu)
  }
}
