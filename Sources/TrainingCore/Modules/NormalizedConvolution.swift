extension Conv2d {
  /// This convolution, `norm` behind it, `addend` added to that and then perhaps `relu`: the end of a residual
  /// block, or any of its parts.
  ///
  /// The figures are those of the modules one by one, but fewer passes are made over memory. If no
  /// gradients are wanted and `norm` goes by running statistics, all of it is done while outputs are written.
  public func normalized(
    _ input: Variable, by norm: BatchNorm2d, adding addend: Variable? = nil, rectifies: Bool
  ) throws -> Variable {
    try normalizedAtOnce(input, by: norm, adding: addend, rectifies: rectifies)
      ?? norm.normalized(self(input), adding: addend, rectifies: rectifies)
  }

  /// All while outputs are written, if that can be done.
  private func normalizedAtOnce(
    _ input: Variable, by norm: BatchNorm2d, adding addend: Variable?, rectifies: Bool
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
      weight, stride: stride, padding: padding, dilation: dilation, groups: groups, scale: scale,
      shift: shift, adding: addend, rectifies: rectifies)
  }
}
