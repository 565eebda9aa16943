extension Variable {
  /// The sum over some dimensions, all unless told.
  public func sum(_ dimensions: [Int]? = nil, keepingDimensions: Bool = false) throws -> Variable {
    try requireFloats("sum")
    let reduced = Set(try dimensions?.map { try dimension($0, "sum") } ?? Array(shape.indices))
    let kept = shape.indices.map { reduced.contains($0) ? 1 : shape[$0] }
    let final =
      keepingDimensions ? kept : shape.indices.filter { !reduced.contains($0) }.map { shape[$0] }
    let own = shape
    return try rowSums(of: reduced, shape: final).computed(by: "sum", from: [self]) {
      [try $0.reshaped(kept).expanded(to: own)]
    }
  }

  /// The mean over some dimensions, all unless told.
  public func mean(_ dimensions: [Int]? = nil, keepingDimensions: Bool = false) throws -> Variable {
    let total = try sum(dimensions, keepingDimensions: keepingDimensions)
    return try total * (Double(total.count) / Double(count))
  }

  /// Sums without gradients: what is reduced goes to the end, then rows are summed in double.
  private func rowSums(of reduced: Set<Int>, shape final: [Int]) throws -> Variable {
    let order =
      shape.indices.filter { !reduced.contains($0) } + shape.indices.filter { reduced.contains($0) }
    let length = reduced.reduce(1) { $0 * shape[$1] }
    let result = try Variable(empty: final, scalarType)
    let rows = result.count
    // Where the first dimensions alone are reduced, rows are added to each other as they lie.
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

  /// The largest element along a dimension and its index.
  public func maximum(dimension number: Int) throws -> (values: Variable, indices: Variable) {
    try requireFloats("max")
    let place = try dimension(number, "maximum")
    let length = shape[place]
    guard length > 0 else {
      throw TrainingError.badShape(operation: "max", problem: "dimension \(place) has size 0")
    }
    let outer = shape[..<place].reduce(1, *)
    let inner = shape[(place + 1)...].reduce(1, *)
    let final = Array(shape[..<place]) + Array(shape[(place + 1)...])
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

  /// The index of the largest element along a dimension.
  public func argmax(dimension: Int = -1) throws -> Variable {
    try maximum(dimension: dimension).indices
  }
}
