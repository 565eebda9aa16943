internal import CkptPlatform
internal import CkptTensors

/// What peft subtracts from a base's weight W when it loads an adapter that was initialized with a
/// part of W.
///
/// peft computes it in float32 and rounds to W's type in between; here it is computed in float64
/// without rounding.
struct BaseChange: Sendable {
  let kind: Kind
  /// W as it is stored, a matrix of shape [rows, columns].
  let weight: Tensor
  /// The rank of the part.
  let rank: Int
  /// The adapter's own scale; used by `triangular` only.
  let scale: Double
  /// The weight's key, for error messages.
  let key: String

  /// Which part of W is subtracted.
  enum Kind: Sendable {
    /// U S Vᵀ for the `rank` largest singular values (peft's `LoraLayer.pissa_init` with `pissa`).
    /// It does not depend on W's orientation, nor on the scale, which cancels out.
    case principal
    /// The scale times the first `rank` columns of Q and rows of R, where W = Q R (peft's
    /// `LoraLayer.olora_init`, which takes W as it is stored).
    case triangular
  }

  /// The subtracted part as a product with a negative scale.
  ///
  /// Reads W row by row. Memory holds vectors of `rows` and of `columns` elements: several tens for
  /// each unit of rank for `principal`, one each for `triangular`.
  ///
  /// - Throws: `MergeError.unclearChange` if singular values are too close to each other to decide
  ///   which belong to the part; what reading W throws.
  func product(_ cancellation: Cancellation) throws -> LowRankProduct {
    let rows = MatrixRows(weight, cancellation)
    let count = min(rank, rows.rows, rows.columns)
    switch kind {
    case .principal:
      var subspace = LeadingSubspace(rows, count: count)
      guard let right = try subspace.vectors() else { throw MergeError.unclearChange(key: key) }
      // The product of W and the vectors, and the vectors: U S and Vᵀ.
      var left = [Double](repeating: 0, count: rows.rows * count)
      try rows.each { index, row in
        for position in 0..<count {
          left[index * count + position] = right.dot(position, row)
        }
      }
      return try product(left, right.elements, count, rows, scale: -1)
    case .triangular:
      let left = try FirstColumns(rows, count: count).orthonormal()
      var right = VectorBlock(length: rows.columns, capacity: count)
      for _ in 0..<count { right.append() }
      try rows.each { index, row in
        for position in 0..<count {
          right.add(row, times: left[index * count + position], to: position)
        }
      }
      return try product(left, right.elements, count, rows, scale: -scale)
    }
  }

  private func product(
    _ left: [Double], _ right: [Double], _ count: Int, _ rows: MatrixRows, scale: Double
  ) throws -> LowRankProduct {
    LowRankProduct(
      left: try Tensor(left, shape: [rows.rows, count]),
      right: try Tensor(right, shape: [count, rows.columns]), scale: scale)
  }
}

/// Reads a matrix one row at a time, as often as needed, without holding all of it.
struct MatrixRows: Sendable {
  let tensor: Tensor
  let rows, columns: Int
  private let cancellation: Cancellation

  /// Reads the rows of a tensor of two dimensions.
  init(_ tensor: Tensor, _ cancellation: Cancellation) {
    self.tensor = tensor
    self.cancellation = cancellation
    rows = tensor.shape[0]
    columns = tensor.shape[1]
  }

  /// Calls `body` with each row, in order.
  func each(_ body: (_ index: Int, _ row: Span<Double>) throws -> Void) throws {
    let reader = try tensor.makeElementReader()
    var block = AlignedBuffer<Double>(count: columns)
    try block.withMutableSpan(first: columns) { row in
      for index in 0..<rows {
        try cancellation.check()
        try reader.read(into: &row)
        try body(index, row.span)
      }
    }
  }
}

/// Orthonormalizes the first columns of a matrix.
struct FirstColumns {
  private let rows: MatrixRows
  private let count: Int

  init(_ rows: MatrixRows, count: Int) {
    self.rows = rows
    self.count = count
  }

  /// The first `count` columns of Q of a QR decomposition by Householder reflections, as LAPACK's
  /// `geqrf` and `orgqr` compute it; row-major, of shape [rows, count]. Signs cancel out in the
  /// product with R.
  func orthonormal() throws -> [Double] {
    let length = rows.rows
    var columns = VectorBlock(length: length, capacity: count)
    for _ in 0..<count { columns.append() }
    try rows.each { index, row in
      for position in 0..<count { columns.set(position, index, row[position]) }
    }
    // For each column, the reflection I - f v vᵀ that makes the elements below the diagonal zero.
    var factors = [Double](repeating: 0, count: count)
    for position in 0..<count {
      let head = columns.value(position, position)
      let below = columns.norm(of: position, from: position + 1)
      // A column that is zero below the diagonal is left unchanged.
      guard below > 0 else { continue }
      let size = (head * head + below * below).squareRoot()
      let start = head < 0 ? head - size : head + size
      columns.set(position, position, start)
      factors[position] = 2 / (start * start + below * below)
      for other in position + 1..<max(count, position + 1) {
        columns.reflect(other, at: position, factors[position], from: position)
      }
    }
    // The columns of Q: the reflections applied, last to first, to the unit vectors.
    var result = VectorBlock(length: length, capacity: count)
    for position in 0..<count {
      result.append()
      result.set(position, position, 1)
      for other in (0...position).reversed() {
        result.reflect(position, by: columns, other, factors[other])
      }
    }
    var matrix = [Double](repeating: 0, count: length * count)
    for position in 0..<count {
      for index in 0..<length { matrix[index * count + position] = result.value(position, index) }
    }
    return matrix
  }
}
