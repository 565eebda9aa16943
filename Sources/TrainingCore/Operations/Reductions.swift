extension Variable {
  /// The sum over some dimensions, over all by default: `torch.sum`.
  ///
  /// - Parameters:
  ///   - dimensions: the dimensions; negative ones count from the end.
  ///   - keepDimensions: whether summed dimensions stay with size 1, `keepdim` in PyTorch.
  /// - Throws: `TrainingError` if there is no such dimension or the elements are not floating-point
  ///   numbers.
  public func sum(_ dimensions: [Int]? = nil, keepDimensions: Bool = false) throws -> Variable {
    try requireFloats("sum")
    let reduced = Set(try dimensions?.map { try axis($0, "sum") } ?? Array(shape.indices))
    let kept = shape.indices.map { reduced.contains($0) ? 1 : shape[$0] }
    let final =
      keepDimensions ? kept : shape.indices.filter { !reduced.contains($0) }.map { shape[$0] }
    let own = shape
    return try rowSums(of: reduced, shape: final).computed(by: "sum", from: [self]) {
      [try $0.reshaped(kept).expanded(to: own)]
    }
  }

  /// The mean over some dimensions, over all by default: `torch.mean`.
  ///
  /// - Parameters:
  ///   - dimensions: the dimensions; negative ones count from the end.
  ///   - keepDimensions: whether averaged dimensions stay with size 1, `keepdim` in PyTorch.
  /// - Throws: `TrainingError` if there is no such dimension or the elements are not floating-point
  ///   numbers.
  public func mean(_ dimensions: [Int]? = nil, keepDimensions: Bool = false) throws -> Variable {
    let total = try sum(dimensions, keepDimensions: keepDimensions)
    return try total * (Double(total.count) / Double(count))
  }

  /// Sums without gradients, in double precision; reduced dimensions are moved to the end unless
  /// they are the first.
  private func rowSums(of reduced: Set<Int>, shape final: [Int]) throws -> Variable {
    let order =
      shape.indices.filter { !reduced.contains($0) } + shape.indices.filter { reduced.contains($0) }
    let length = reduced.reduce(1) { $0 * shape[$1] }
    let result = try Variable(empty: final, scalarType)
    let rows = result.count
    // If only the first dimensions are reduced, rows are added to each other as they are in memory.
    if isContiguous, rows > 0, reduced == Set(0..<reduced.count), reduced.count < rank {
      func go<T: Scalar>(_: T.Type) {
        let from = pointer(T.self)
        let to = result.pointer(T.self)
        ComputeThreads.split(rows, grain: max(16, elementGrain / max(length, 1))) { columns in
          withUnsafeTemporaryAllocation(of: Double.self, capacity: columns.count) { sums in
            sums.initialize(repeating: 0)
            for row in 0..<length {
              let from = from + row * rows + columns.lowerBound
              for i in 0..<columns.count { sums[i] += Double(from[i]) }
            }
            for i in 0..<columns.count { to[columns.lowerBound + i] = T(sums[i]) }
          }
        }
      }
      scalarType == .float64 ? go(Double.self) : go(Float.self)
      return result
    }
    let source = try detached().permuted(order).contiguous()
    func go<T: Scalar>(_: T.Type) {
      let from = source.pointer(T.self)
      let to = result.pointer(T.self)
      ComputeThreads.split(rows, grain: max(1, elementGrain / max(length, 1))) { range in
        for row in range { to[row] = T(doubleSum(from + row * length, length)) }
      }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
    keepAlive(source)
    return result
  }

  /// The sum over the dimensions along which a variable of `shape` was broadcast; no gradients.
  func summed(to shape: [Int]) throws -> Variable {
    if self.shape == shape { return self }
    let missing = rank - shape.count
    let reduced = Set(
      self.shape.indices.filter {
        $0 < missing || (shape[$0 - missing] == 1 && self.shape[$0] != 1)
      })
    return try rowSums(of: reduced, shape: shape)
  }

  /// The largest elements along a dimension and their indices: `torch.max(dim)`.
  ///
  /// - Returns: both of this shape without the dimension; indices of type int64.
  /// - Throws: `TrainingError` if there is no such dimension, if it is empty, or if the elements
  ///   are not floating-point numbers.
  public func maximum(dimension: Int) throws -> (values: Variable, indices: Variable) {
    try requireFloats("max")
    let axis = try axis(dimension, "max")
    let length = shape[axis]
    guard length > 0 else {
      throw TrainingError.badShape(operation: "max", problem: "dimension \(axis) has size 0")
    }
    let outer = shape[..<axis].reduce(1, *)
    let inner = shape[(axis + 1)...].reduce(1, *)
    let final = Array(shape[..<axis]) + Array(shape[(axis + 1)...])
    let source = try contiguous()
    let values = try Variable(empty: final, scalarType)
    let indices = try Variable(empty: final, .int64)
    func go<T: Scalar>(_: T.Type) {
      let from = source.pointer(T.self)
      let to = values.pointer(T.self)
      let best = indices.pointer(Int64.self)
      for row in 0..<outer {
        for column in 0..<inner {
          let start = from + row * length * inner + column
          var index = 0
          for i in 1..<max(length, 1) where start[i * inner] > start[index * inner] {
            index = i
          }
          to[row * inner + column] = start[index * inner]
          best[row * inner + column] = Int64(index)
        }
      }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
    keepAlive(source)
    let own = shape
    let result = values.computed(by: "max", from: [self]) { gradient in
      let gradient = try gradient.contiguous()
      let whole = try Variable.zeros(own, gradient.scalarType)
      func go<T: Scalar>(_: T.Type) {
        let from = gradient.pointer(T.self)
        let to = whole.pointer(T.self)
        let best = indices.pointer(Int64.self)
        for row in 0..<outer {
          for column in 0..<inner {
            let i = row * inner + column
            to[(row * length + Int(best[i])) * inner + column] = from[i]
          }
        }
      }
      gradient.scalarType == .float64 ? go(Double.self) : go(Float.self)
      keepAlive(gradient, indices)
      return [whole]
    }
    return (result, indices)
  }

  /// The indices of the largest elements along a dimension: `torch.argmax`.
  ///
  /// - Returns: indices of type int64, of this shape without the dimension.
  /// - Throws: `TrainingError` if there is no such dimension, if it is empty, or if the elements
  ///   are not floating-point numbers.
  public func argmax(dimension: Int = -1) throws -> Variable {
    try maximum(dimension: dimension).indices
  }
}
