// MARK: - Over the batch

extension Variable {
  /// Each channel normalized to mean 0 and variance 1 over a variable of shape [batch, channels,
  /// ...]: `F.batch_norm`, with an addition and a rectifier behind it.
  ///
  /// - Parameters:
  ///   - weight: scales of shape [channels]; nil for none.
  ///   - bias: shifts of shape [channels]; nil for none.
  ///   - mean: the running means, of shape [channels]: used when not training, updated when
  ///     training; nil for none.
  ///   - variance: the running variances, likewise.
  ///   - isTraining: whether the statistics of the batch are used.
  ///   - momentum: how far running statistics move towards those of the batch, from 0 to 1.
  ///   - epsilon: added to the variance.
  ///   - addend: added to the result, of the same shape; nil for nothing.
  ///   - relu: whether `max(x, 0)` is applied at the end.
  func batchNorm(
    weight: Variable?, bias: Variable?, mean: Variable?, variance: Variable?, isTraining: Bool,
    momentum: Double, epsilon: Double, adding addend: Variable? = nil, relu: Bool = false
  ) throws -> Variable {
    try requireFloats("batch_norm")
    guard rank >= 2 else {
      throw TrainingError.badShape(operation: "batch_norm", problem: "an input of shape \(shape)")
    }
    let channels = shape[1]
    for other in [weight, bias, mean, variance].compactMap(\.self) {
      try other.requireType(of: self, "batch_norm")
      guard other.shape == [channels], other.isContiguous else {
        throw TrainingError.badShape(
          operation: "batch_norm", problem: "an input of shape \(shape) for \(other.shape)")
      }
    }
    if let addend {
      try addend.requireType(of: self, "batch_norm")
      guard addend.shape == shape else {
        throw TrainingError.badShape(
          operation: "batch_norm", problem: "\(addend.shape) is to be added to \(shape)")
      }
    }
    let usesBatch = isTraining || mean == nil || variance == nil
    let batch = shape[0]
    let area = shape.dropFirst(2).reduce(1, *)
    let perChannel = batch * area
    if isTraining, perChannel <= 1 {
      throw TrainingError.badShape(
        operation: "batch_norm",
        problem: "more than one value per channel is needed to train (\(shape))")
    }
    let source = try contiguous()
    let other = try addend?.contiguous()
    let result = try Variable(empty: shape, scalarType)
    // Each channel's mean and 1 / √(variance + ε), for the backward pass.
    let center = try Variable(empty: [channels], scalarType)
    let inverses = try Variable(empty: [channels], scalarType)
    func forward<T: Scalar>(_: T.Type) {
      let x = source.pointer(T.self)
      let y = result.pointer(T.self)
      let added = other.map { UnsafePointer($0.pointer(T.self)) }
      ComputeThreads.split(channels, grain: max(1, elementGrain / max(perChannel, 1))) { range in
        for channel in range {
          var (m, v) = (0.0, 0.0)
          if usesBatch {
            for image in 0..<batch { m += doubleSum(x + (image * channels + channel) * area, area) }
            m /= Double(perChannel)
            let middle = T(m)
            for image in 0..<batch {
              v += squaredDistance(x + (image * channels + channel) * area, area, from: middle)
            }
            v /= Double(perChannel)
          } else if let mean, let variance {
            m = Double(mean.pointer(T.self)[channel])
            v = Double(variance.pointer(T.self)[channel])
          }
          if isTraining, let mean, let variance {
            let (means, variances) = (mean.pointer(T.self), variance.pointer(T.self))
            let unbiased = v * Double(perChannel) / Double(max(perChannel - 1, 1))
            means[channel] = T((1 - momentum) * Double(means[channel]) + momentum * m)
            variances[channel] = T(
              (1 - momentum) * Double(variances[channel]) + momentum * unbiased)
          }
          let inverse = 1 / (v + epsilon).squareRoot()
          center.pointer(T.self)[channel] = T(m)
          inverses.pointer(T.self)[channel] = T(inverse)
          let factor = T(inverse * (weight.map { Double($0.pointer(T.self)[channel]) } ?? 1))
          let shift = bias.map { $0.pointer(T.self)[channel] } ?? 0
          for image in 0..<batch {
            let start = (image * channels + channel) * area
            writeScaled(
              x + start, adding: added.map { $0 + start }, y + start, area, center: T(m),
              factor: factor, shift: shift, relu: relu)
          }
        }
      }
    }
    scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source, other, weight, bias)

    let wants = (requiresGrad, weight?.requiresGrad ?? false, bias?.requiresGrad ?? false)
    let wantsAddend = addend?.requiresGrad ?? false
    let saved = source.detached()
    let output = relu ? result.detached() : nil
    let inputs = [self] + [weight, bias, addend].compactMap(\.self)
    let hasWeight = weight != nil
    let hasBias = bias != nil
    let hasAddend = addend != nil
    return result.computed(by: "batch_norm", from: inputs) { gradient in
      let gradient = try gradient.contiguous()
      // With a rectifier, the gradient that passes it is needed. Unless the addend requires it, it
      // is kept in the memory of the input's gradient.
      let needsMemory = wants.0 || relu
      let input = needsMemory ? try Variable(empty: gradient.shape, gradient.scalarType) : nil
      let passed =
        relu && wantsAddend
        ? try Variable(empty: gradient.shape, gradient.scalarType) : relu ? input : nil
      let slopes = try Variable(empty: [channels], gradient.scalarType)
      let shifts = try Variable(empty: [channels], gradient.scalarType)
      func backward<T: Scalar>(_: T.Type) {
        // Pointers are taken before the loops: taking one counts references, on which threads wait
        // for each other.
        let (x, g) = (saved.pointer(T.self), gradient.pointer(T.self))
        let (centers, factors) = (center.pointer(T.self), inverses.pointer(T.self))
        let scales = weight?.pointer(T.self)
        let (sums, products) = (shifts.pointer(T.self), slopes.pointer(T.self))
        let (outputs, kept) = (output?.pointer(T.self), passed?.pointer(T.self))
        let to = wants.0 ? input?.pointer(T.self) : nil
        ComputeThreads.split(channels, grain: max(1, elementGrain / max(perChannel, 1))) { range in
          for channel in range {
            let (m, inverse) = (centers[channel], factors[channel])
            var (sum, product) = (0.0, 0.0)
            for image in 0..<batch {
              let start = (image * channels + channel) * area
              let (total, dot) =
                if let outputs, let kept {
                  reluSums(
                    g + start, outputs + start, x + start, into: kept + start, area, from: m)
                } else {
                  sumAndProduct(g + start, x + start, area, from: m)
                }
              sum += total
              product += dot
            }
            sums[channel] = T(sum)
            products[channel] = T(product * Double(inverse))
            guard let to else { continue }
            let through = kept ?? g
            let factor = inverse * (scales?[channel] ?? 1)
            let average = usesBatch ? T(sum / Double(perChannel)) : 0
            let pull =
              usesBatch ? T(product / Double(perChannel)) * inverse * inverse : 0
            for image in 0..<batch {
              let start = (image * channels + channel) * area
              writeScaledGradient(
                through + start, x + start, to + start, area, average: average, center: m,
                pull: pull, factor: factor)
            }
          }
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(
        gradient, saved, output, passed, center, inverses, weight, input, slopes, shifts)
      return [wants.0 ? input : nil] + (hasWeight ? [wants.1 ? slopes : nil] : [])
        + (hasBias ? [wants.2 ? shifts : nil] : [])
        + (hasAddend ? [wantsAddend ? passed ?? gradient : nil] : [])
    }
  }
}

// MARK: - Over rows

extension Variable {
  /// Each row of `length` elements minus its mean, if `centers`, and divided by √(mean square +
  /// `epsilon`) of what is left.
  func rowsNormalized(_ length: Int, epsilon: Double, centers: Bool) throws -> Variable {
    try requireFloats("normalize")
    let rows = length > 0 ? count / length : 0
    let source = try contiguous()
    let result = try Variable(empty: shape, scalarType)
    let inverses = try Variable(empty: [rows], scalarType)
    func forward<T: Scalar>(_: T.Type) {
      let (x, y, factors) = (
        source.pointer(T.self), result.pointer(T.self), inverses.pointer(T.self)
      )
      ComputeThreads.split(rows, grain: max(1, elementGrain / max(length, 1))) { range in
        for row in range {
          let (x, y) = (x + row * length, y + row * length)
          let mean = centers ? T(doubleSum(x, length) / Double(length)) : 0
          let variance = squaredDistance(x, length, from: mean) / Double(length)
          let inverse = T(1 / (variance + epsilon).squareRoot())
          factors[row] = inverse
          writeScaled(x, y, length, center: mean, factor: inverse, shift: 0)
        }
      }
    }
    scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source)
    let saved = result.detached()
    return result.computed(by: "normalize", from: [self]) { gradient in
      let gradient = try gradient.contiguous()
      let input = try Variable(empty: gradient.shape, gradient.scalarType)
      func backward<T: Scalar>(_: T.Type) {
        let (g, y) = (gradient.pointer(T.self), saved.pointer(T.self))
        let (to, factors) = (input.pointer(T.self), inverses.pointer(T.self))
        ComputeThreads.split(rows, grain: max(1, elementGrain / max(length, 1))) { range in
          for row in range {
            let (g, y, to) = (g + row * length, y + row * length, to + row * length)
            let (sum, product) = sumAndProduct(g, y, length, from: 0)
            let average = centers ? T(sum / Double(length)) : 0
            let pull = T(product / Double(length))
            writeScaledGradient(
              g, y, to, length, average: average, center: 0, pull: pull, factor: factors[row])
          }
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient, saved, inverses)
      return [input]
    }
  }

  /// The last dimensions normalized to mean 0 and variance 1, times `weight`, plus `bias`:
  /// `F.layer_norm`.
  ///
  /// - Parameters:
  ///   - over: the sizes of the last dimensions, `normalized_shape` in PyTorch.
  ///   - weight: scales of shape `over`; nil for none.
  ///   - bias: shifts of shape `over`; nil for none.
  ///   - epsilon: added to the variance.
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func layerNorm(
    over: [Int], weight: Variable? = nil, bias: Variable? = nil, epsilon: Double = 1e-5
  ) throws -> Variable {
    guard !over.isEmpty, Array(shape.suffix(over.count)) == over else {
      throw TrainingError.badShape(
        operation: "layer_norm", problem: "an input of shape \(shape) for \(over)")
    }
    var result = try rowsNormalized(over.reduce(1, *), epsilon: epsilon, centers: true)
    if let weight { result = try result * weight }
    if let bias { result = try result + bias }
    return result
  }

  /// The last dimensions divided by their root mean square, times `weight`: `F.rms_norm`.
  ///
  /// - Parameters:
  ///   - over: the sizes of the last dimensions, `normalized_shape` in PyTorch.
  ///   - weight: scales of shape `over`; nil for none.
  ///   - epsilon: added to the mean square; the element type's machine epsilon unless given.
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func rmsNorm(
    over: [Int], weight: Variable? = nil, epsilon: Double? = nil
  ) throws -> Variable {
    guard !over.isEmpty, Array(shape.suffix(over.count)) == over else {
      throw TrainingError.badShape(
        operation: "rms_norm", problem: "an input of shape \(shape) for \(over)")
    }
    let smallest = scalarType == .float64 ? Double.ulpOfOne : Double(Float.ulpOfOne)
    let result = try rowsNormalized(
      over.reduce(1, *), epsilon: epsilon ?? smallest, centers: false)
    guard let weight else { return result }
    return try result * weight
  }

  /// Groups of channels normalized to mean 0 and variance 1, times `weight`, plus `bias`, over a
  /// variable of shape [batch, channels, ...]: `F.group_norm`.
  ///
  /// - Parameters:
  ///   - groups: the number of groups, which divides the channels.
  ///   - weight: scales of shape [channels]; nil for none.
  ///   - bias: shifts of shape [channels]; nil for none.
  ///   - epsilon: added to the variance.
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func groupNorm(
    groups: Int, weight: Variable? = nil, bias: Variable? = nil, epsilon: Double = 1e-5
  ) throws -> Variable {
    guard rank >= 2, groups > 0, shape[1] % groups == 0, shape[0] > 0 else {
      throw TrainingError.badShape(
        operation: "group_norm", problem: "an input of shape \(shape) in \(groups) groups")
    }
    let perRow = shape.dropFirst(2).reduce(shape[1] / groups, *)
    var result = try rowsNormalized(perRow, epsilon: epsilon, centers: true)
    let affine = [shape[1]] + [Int](repeating: 1, count: rank - 2)
    if let weight { result = try result * weight.reshaped(affine) }
    if let bias { result = try result + bias.reshaped(affine) }
    return result
  }
}
