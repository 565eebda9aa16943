internal import CkptPlatform
internal import CkptTensors

/// The right singular vectors of a matrix W for its largest singular values.
///
/// A restarted block Krylov method (Musco and Musco, 2015; Saad, Numerical Methods for Large
/// Eigenvalue Problems, chapter 6): starts with a block of random vectors, more than are sought,
/// and applies WᵀW to it a few times. The Rayleigh-Ritz vectors of the spanned space start the next
/// round, until their residuals are small. If the space contains all rows of W, one round is
/// enough. All computations are in float64; the random numbers are the same each time.
struct LeadingSubspace {
  private let rows: MatrixRows
  /// The number of vectors sought.
  private let count: Int
  /// The number of vectors kept after a round: those sought, the next one, and some more that speed
  /// up convergence.
  private let width: Int
  /// The number of times WᵀW is applied in a round.
  private let depth: Int

  /// The largest residual of an accepted eigenvector of WᵀW, relative to the largest eigenvalue.
  private static let tolerance = 1e-11
  /// The smallest gap between the last sought singular value and the next, relative to the largest
  /// one; about the precision of the float32 that peft uses.
  private static let leastGap = 1e-6
  private static let roundLimit = 300

  init(_ rows: MatrixRows, count: Int) {
    self.rows = rows
    self.count = count
    width = min(rows.columns, count + 8)
    depth = max(3, min(8, 512 / width))
  }

  /// The vectors, by descending singular value; nil if the last singular value is too close to the
  /// next one, or the method does not converge.
  mutating func vectors() throws -> VectorBlock? {
    var random = TorchRandom(seed: 0)
    var start = VectorBlock(length: rows.columns, capacity: width)
    for _ in 0..<width {
      start.append((0..<rows.columns).map { _ in Double(random.uniform(-1, 1)) })
    }
    for _ in 0..<Self.roundLimit {
      let (basis, images) = try space(from: start)
      let (values, vectors) = SymmetricEigen.decompose(
        size: basis.count, products(basis, images))
      // The Ritz vectors, and their residuals.
      let kept = min(width, basis.count)
      var ritz = VectorBlock(length: rows.columns, capacity: kept)
      var isDone = true
      let largest = max(values.first ?? 0, 0)
      for position in 0..<kept {
        ritz.append()
        for index in 0..<basis.count {
          ritz.add(basis, index, times: vectors[position * basis.count + index], to: position)
        }
        guard position <= count else { continue }
        var rest = VectorBlock(length: rows.columns, capacity: 1)
        rest.append()
        for index in 0..<basis.count {
          rest.add(images, index, times: vectors[position * basis.count + index], to: 0)
        }
        rest.add(ritz, position, times: -values[position], to: 0)
        if rest.norm(of: 0) > Self.tolerance * largest { isDone = false }
      }
      guard isDone else {
        start = ritz
        continue
      }
      let sizes = values.map { max($0, 0).squareRoot() }
      let first = sizes.first ?? 0
      let next = count < sizes.count ? sizes[count] : 0
      let last = count <= sizes.count ? sizes[count - 1] : 0
      if last > Self.leastGap * first, last - next <= Self.leastGap * first,
        count < min(rows.rows, rows.columns)
      {
        return nil
      }
      // If W has fewer singular values than are sought, the remaining vectors are zero, and so are
      // their products.
      while ritz.count < count { ritz.append() }
      ritz.keep(first: count)
      return ritz
    }
    return nil
  }

  /// An orthonormal basis of the space spanned by `start` and WᵀW applied to it up to `depth` - 1
  /// times, and the images of the basis under WᵀW.
  private func space(from start: VectorBlock) throws -> (basis: VectorBlock, images: VectorBlock) {
    let capacity = min(rows.columns, width * depth)
    var basis = VectorBlock(length: rows.columns, capacity: capacity)
    var images = VectorBlock(length: rows.columns, capacity: capacity)
    var block = start
    for _ in 0..<depth {
      let before = basis.count
      for index in 0..<block.count where basis.count < rows.columns {
        add(block, index, to: &basis)
      }
      guard basis.count > before else { break }
      for _ in before..<basis.count { images.append() }
      try rows.each { _, row in
        for index in before..<basis.count {
          images.add(row, times: basis.dot(index, row), to: index)
        }
      }
      block = VectorBlock(length: rows.columns, capacity: basis.count - before)
      for index in before..<basis.count { block.append(images[index]) }
    }
    return (basis, images)
  }

  /// Orthonormalizes a vector against the basis and adds it; adds nothing if (almost) nothing is
  /// left.
  private func add(_ block: VectorBlock, _ index: Int, to basis: inout VectorBlock) {
    let position = basis.count
    basis.append(block[index])
    let whole = basis.norm(of: position)
    guard whole > 0, whole.isFinite else {
      basis.keep(first: position)
      return
    }
    basis.scale(position, by: 1 / whole)
    // Orthogonalizes twice to remove what rounding leaves the first time.
    for _ in 0..<2 {
      for other in 0..<position {
        basis.add(other, times: -basis.dot(position, other), to: position)
      }
    }
    let size = basis.norm(of: position)
    guard size > 1e-10 else {
      basis.keep(first: position)
      return
    }
    basis.scale(position, by: 1 / size)
  }

  /// The inner products of the basis vectors with their images: a symmetric matrix, row-major.
  private func products(_ basis: VectorBlock, _ images: VectorBlock) -> [Double] {
    let size = basis.count
    var products = [Double](repeating: 0, count: size * size)
    for row in 0..<size {
      for column in 0...row {
        let product = images.dot(row, basis, column)
        products[row * size + column] = product
        products[column * size + row] = product
      }
    }
    return products
  }
}

/// Eigenvalues and eigenvectors of a symmetric matrix by Jacobi rotations (Golub and Van Loan,
/// section 8.5).
enum SymmetricEigen {
  /// The eigenvalues in descending order, and their eigenvectors concatenated in the same order.
  static func decompose(size: Int, _ matrix: [Double]) -> (values: [Double], vectors: [Double]) {
    var a = matrix
    var vectors = [Double](repeating: 0, count: size * size)
    for index in 0..<size { vectors[index * size + index] = 1 }
    for _ in 0..<60 {
      var off = 0.0
      var whole = 0.0
      for row in 0..<size {
        for column in 0..<size {
          let square = a[row * size + column] * a[row * size + column]
          whole += square
          if row != column { off += square }
        }
      }
      if off <= whole * 1e-30 { break }
      for p in 0..<size {
        for q in p + 1..<max(size, p + 1) {
          rotate(&a, &vectors, size, p, q)
        }
      }
    }
    let order = (0..<size).sorted { a[$0 * size + $0] > a[$1 * size + $1] }
    return (
      order.map { a[$0 * size + $0] }, order.flatMap { vectors[$0 * size..<($0 + 1) * size] }
    )
  }

  /// Applies the rotation that makes the element at (`p`, `q`) zero. Eigenvectors are stored as
  /// rows.
  private static func rotate(
    _ a: inout [Double], _ vectors: inout [Double], _ size: Int, _ p: Int, _ q: Int
  ) {
    let element = a[p * size + q]
    guard element != 0 else { return }
    let theta = (a[q * size + q] - a[p * size + p]) / (2 * element)
    let t = (theta >= 0 ? 1.0 : -1.0) / (abs(theta) + (theta * theta + 1).squareRoot())
    let cosine = 1 / (t * t + 1).squareRoot()
    let sine = t * cosine
    a.withMutableSpan { a in
      for index in 0..<size {
        let (left, right) = (a[p * size + index], a[q * size + index])
        a[p * size + index] = cosine * left - sine * right
        a[q * size + index] = sine * left + cosine * right
      }
      for index in 0..<size {
        let (left, right) = (a[index * size + p], a[index * size + q])
        a[index * size + p] = cosine * left - sine * right
        a[index * size + q] = sine * left + cosine * right
      }
    }
    vectors.withMutableSpan { vectors in
      for index in 0..<size {
        let (left, right) = (vectors[p * size + index], vectors[q * size + index])
        vectors[p * size + index] = cosine * left - sine * right
        vectors[q * size + index] = sine * left + cosine * right
      }
    }
  }
}
