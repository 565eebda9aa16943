// MARK: - Linear maps

extension Variable {
  /// `x Wᵀ + b` over the last dimension of this variable x, of shape [..., inputs]: `F.linear`.
  ///
  /// - Parameters:
  ///   - weight: W, of shape [outputs, inputs].
  ///   - bias: b, of shape [outputs]; nil for none.
  /// - Returns: a variable of shape [..., outputs].
  /// - Throws: `TrainingError` if shapes or element types do not fit, or without a library for
  ///   matrix products.
  public func linear(_ weight: Variable, _ bias: Variable? = nil) throws -> Variable {
    try requireFloats("linear")
    guard weight.rank == 2, let inputs = shape.last, weight.shape[1] == inputs,
      bias == nil || bias?.shape == [weight.shape[0]]
    else {
      throw TrainingError.badShape(
        operation: "linear",
        problem: "an input of shape \(shape) for a weight of shape \(weight.shape)")
    }
    try weight.requireType(of: self, "linear")
    try bias?.requireType(of: self, "linear")
    let outputs = weight.shape[0]
    let rows = shape.dropLast().reduce(1, *)
    let source = try contiguous()
    let kernel = try weight.contiguous()
    let result = try Variable(empty: shape.dropLast() + [outputs], scalarType)
    let blas = try BLAS.shared()
    func forward<T: Scalar>(_: T.Type) {
      let to = result.pointer(T.self)
      if let bias {
        let bias = bias.pointer(T.self)
        for row in 0..<rows { (to + row * outputs).update(from: bias, count: outputs) }
      }
      blas.multiplyInParallel(
        rows, outputs, inputs, .init(source.pointer(T.self), inputs),
        .init(kernel.pointer(T.self), inputs, transposed: true), adding: bias == nil ? 0 : 1,
        to: to, outputs)
    }
    if let bias, !bias.isContiguous { return try linear(weight, bias.contiguous()) }
    scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source, kernel, bias)

    let own = shape
    let wants = (requiresGrad, weight.requiresGrad, bias?.requiresGrad ?? false)
    let savedSource = wants.1 ? source.detached() : nil
    let savedKernel = wants.0 ? kernel.detached() : nil
    return result.computed(by: "linear", from: [self, weight] + (bias.map { [$0] } ?? [])) {
      gradient in
      let gradient = try gradient.contiguous()
      let input = wants.0 ? try Variable(empty: own, gradient.scalarType) : nil
      let kernel = wants.1 ? try Variable(empty: [outputs, inputs], gradient.scalarType) : nil
      func backward<T: Scalar>(_: T.Type) {
        let g = gradient.pointer(T.self)
        if let input, let savedKernel {
          blas.multiplyInParallel(
            rows, inputs, outputs, .init(g, outputs), .init(savedKernel.pointer(T.self), inputs),
            to: input.pointer(T.self), inputs)
        }
        if let kernel, let savedSource {
          blas.multiplyInParallel(
            outputs, inputs, rows, .init(g, outputs, transposed: true),
            .init(savedSource.pointer(T.self), inputs), to: kernel.pointer(T.self), inputs)
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient, savedSource, savedKernel)
      let bias = wants.2 ? try gradient.reshaped([rows, outputs]).summed(to: [outputs]) : nil
      return [input, kernel, bias]
    }
  }

  func requireType(of other: Variable, _ operation: StaticString) throws {
    guard scalarType == other.scalarType else {
      throw TrainingError.badType(
        operation: "\(operation)",
        problem: "\(other.scalarType.rawValue) with \(scalarType.rawValue)")
    }
  }
}

// MARK: - Products of matrices

extension Variable {
  /// The matrix product over the last two dimensions, the others broadcast: `torch.matmul`. A
  /// variable of one dimension is a row on the left and a column on the right.
  ///
  /// - Throws: `TrainingError` if shapes or element types do not fit, or without a library for
  ///   matrix products.
  public func matmul(_ other: Variable) throws -> Variable {
    try requireFloats("matmul")
    try other.requireType(of: self, "matmul")
    if rank == 1 { return try unsqueezed(0).matmul(other).squeezed(other.rank == 1 ? 0 : -2) }
    if other.rank == 1 { return try matmul(other.unsqueezed(1)).squeezed(-1) }
    guard rank >= 2, other.rank >= 2, shape[rank - 1] == other.shape[other.rank - 2] else {
      throw TrainingError.badShape(
        operation: "matmul", problem: "the shapes \(shape) and \(other.shape) do not fit")
    }
    let (first, second) = (shape, other.shape)
    let a = other.requiresGrad ? self : nil
    let b = requiresGrad ? other : nil
    return try Self.product(self, other).computed(by: "matmul", from: [self, other]) { gradient in
      [
        try b.map { try Self.product(gradient, $0.detached().transposed()).summed(to: first) },
        try a.map { try Self.product($0.detached().transposed(), gradient).summed(to: second) },
      ]
    }
  }

  /// The product without gradients; transposed operands are not copied.
  private static func product(_ left: Variable, _ right: Variable) throws -> Variable {
    let (m, k, n) = (
      left.shape[left.rank - 2], left.shape[left.rank - 1], right.shape[right.rank - 1]
    )
    let batch = try broadcast(
      Array(left.shape.dropLast(2)), Array(right.shape.dropLast(2)), "matmul")
    let result = try Variable(empty: batch + [m, n], left.scalarType)
    let left = try left.readableByProduct()
    let right = try right.readableByProduct()
    let blas = try BLAS.shared()
    let count = batch.reduce(1, *)
    let walk = StridedWalk(
      shape: batch,
      strides: [
        Array(left.strides(broadcastTo: batch + left.shape.suffix(2)).dropLast(2)),
        Array(right.strides(broadcastTo: batch + right.shape.suffix(2)).dropLast(2)),
      ])
    func go<T: Scalar>(_: T.Type) {
      let to = result.pointer(T.self)
      let a = left.pointer(T.self)
      let b = right.pointer(T.self)
      if count == 1 {
        return blas.multiplyInParallel(m, n, k, left.matrix(a), right.matrix(b), to: to, n)
      }
      walk.rows(grain: max(1, (1 << 15) / max(m * n * k, 1))) { position, starts, length, steps in
        for i in 0..<length {
          blas.multiply(
            m, n, k, left.matrix(a + starts[0] + i * steps[0]),
            right.matrix(b + starts[1] + i * steps[1]), to: to + (position + i) * m * n, n)
        }
      }
    }
    left.scalarType == .float64 ? go(Double.self) : go(Float.self)
    keepAlive(left, right)
    return result
  }

  /// The variable itself if rows or columns of its matrices are contiguous, as BLAS needs them;
  /// else a copy.
  private func readableByProduct() throws -> Variable {
    let (rows, columns) = (strides[rank - 2], strides[rank - 1])
    let (height, width) = (shape[rank - 2], shape[rank - 1])
    let isRowMajor = (columns == 1 || width == 1) && rows >= max(width, 1)
    let isColumnMajor = (rows == 1 || height == 1) && columns >= max(height, 1)
    return isRowMajor || isColumnMajor ? detached() : try detached().contiguous()
  }

  private func matrix<T>(_ elements: UnsafePointer<T>) -> BLAS.Matrix<T> {
    let (rows, columns) = (strides[rank - 2], strides[rank - 1])
    let width = shape[rank - 1]
    return (columns == 1 || width == 1) && rows >= max(width, 1)
      ? .init(elements, rows) : .init(elements, columns, transposed: true)
  }
}
