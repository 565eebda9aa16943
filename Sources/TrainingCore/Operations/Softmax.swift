internal import CCkptTrainingKernels

extension Variable {
  /// exp(x) / Σ exp(x) along a dimension: `torch.softmax`.
  ///
  /// - Throws: `TrainingError` if there is no such dimension or the elements are not floating-point
  ///   numbers.
  public func softmax(dimension: Int = -1) throws -> Variable {
    try alongLast(dimension, "softmax") { try $0.rowSoftmax(logarithm: false) }
  }

  /// x - log Σ exp(x) along a dimension: `torch.log_softmax`.
  ///
  /// - Throws: `TrainingError` if there is no such dimension or the elements are not floating-point
  ///   numbers.
  public func logSoftmax(dimension: Int = -1) throws -> Variable {
    try alongLast(dimension, "log_softmax") { try $0.rowSoftmax(logarithm: true) }
  }

  /// Applies a function of the last dimension to another one.
  private func alongLast(
    _ dimension: Int, _ operation: String, _ body: (Variable) throws -> Variable
  ) throws -> Variable {
    let axis = try axis(dimension, operation)
    if axis == rank - 1 { return try body(self) }
    return try body(transposed(axis, -1)).transposed(axis, -1)
  }

  private func rowSoftmax(logarithm: Bool) throws -> Variable {
    try requireFloats("softmax")
    let length = shape[rank - 1]
    let rows = length > 0 ? count / length : 0
    let source = try contiguous()
    let result = try Variable(empty: shape, scalarType)
    let grain = max(1, elementGrain / 8 / max(length, 1))
    func forward<T: Scalar>(_: T.Type) {
      let (x, y) = (source.pointer(T.self), result.pointer(T.self))
      ComputeThreads.split(rows, grain: grain) { range in
        for row in range { softmaxRow(x + row * length, y + row * length, length, logarithm) }
      }
    }
    scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source)
    let saved = result.detached()
    return result.computed(by: logarithm ? "log_softmax" : "softmax", from: [self]) { gradient in
      let gradient = try gradient.contiguous()
      let input = try Variable(empty: gradient.shape, gradient.scalarType)
      func backward<T: Scalar>(_: T.Type) {
        let (g, y, to) = (gradient.pointer(T.self), saved.pointer(T.self), input.pointer(T.self))
        ComputeThreads.split(rows, grain: grain) { range in
          for row in range {
            let (g, y, to) = (g + row * length, y + row * length, to + row * length)
            if logarithm {
              let sum = T(doubleSum(g, length))
              for i in 0..<length { to[i] = g[i] - T.exp(y[i]) * sum }
            } else if let g = asFloats(UnsafePointer(g)), let y = asFloats(UnsafePointer(y)),
              let to = asFloats(to)
            {
              ct_softmax_gradient(g, y, to, Int64(length))
            } else {
              var product: T = 0
              for i in 0..<length { product += g[i] * y[i] }
              for i in 0..<length { to[i] = (g[i] - product) * y[i] }
            }
          }
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient, saved)
      return [input]
    }
  }
}

/// The softmax of a row, or its logarithm. A row of -∞ gives NaN, as in PyTorch.
func softmaxRow<T: Scalar>(
  _ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>, _ length: Int, _ logarithm: Bool
) {
  if !logarithm, let x = asFloats(x), let y = asFloats(y) { return ct_softmax(x, y, Int64(length)) }
  var largest = -T.infinity
  for i in 0..<length where !(x[i] <= largest) { largest = x[i] }
  var sum: T = 0
  for i in 0..<length {
    let value = T.exp(x[i] - largest)
    sum += value
    if !logarithm { y[i] = value }
  }
  if logarithm {
    let offset = largest + T.log(sum)
    for i in 0..<length { y[i] = x[i] - offset }
  } else {
    let factor = 1 / sum
    for i in 0..<length { y[i] *= factor }
  }
}
