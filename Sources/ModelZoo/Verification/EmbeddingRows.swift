/// The rows of an embedding table whose elements as a whole have their initial distribution, to
/// find rows that were trained.
struct EmbeddingRows {
  /// The number of rows.
  let count: Int
  /// The number of rows that have the initial distribution.
  private(set) var untouched = 0
  /// Whether some rows certainly do not have it.
  private(set) var isPartlyTrained = false

  /// Whether a table's rows are positions; those after the longest training text are never trained.
  static func isOfPositions(_ key: String) -> Bool {
    key.contains("position") || key.contains("pos_emb") || key.hasSuffix("wpe.weight")
  }

  /// Examines a table; nil for other shapes.
  ///
  /// - Parameters:
  ///   - values: the elements.
  ///   - shape: the number of rows and their width.
  ///   - fit: the initial distribution.
  init?(_ values: [Float], of shape: [Int], fit: DefaultInitialization) {
    guard shape.count == 2, shape[0] > 1, shape[1] > 0, values.count == shape[0] * shape[1],
      fit.standardDeviation > 0
    else { return nil }
    count = shape[0]
    let width = Double(shape[1])
    let variance = fit.shape.moments.secondVariance
    // The sum of squares of n numbers with standard deviation 1 has the mean n and the variance n ·
    // secondVariance. For new rows, it exceeds six standard deviations once in 10⁸ cases; the same
    // holds for sums of the first rows.
    var sum = 0.0
    var next = 1
    for row in 0..<count {
      let numbers = values[row * shape[1]..<(row + 1) * shape[1]]
      let squares: Double = numbers.reduce(0.0) { $0 + Double($1) * Double($1) }
      let square = squares / (fit.standardDeviation * fit.standardDeviation)
      let off = ((square - width) / (width * variance).squareRoot()).magnitude
      if off <= 6 { untouched += 1 } else { isPartlyTrained = true }
      // Positions at the start occur in all texts, so small changes are visible in the sum of the
      // first rows.
      sum += square
      guard row + 1 == next else { continue }
      next *= 2
      let total = width * Double(row + 1)
      if ((sum - total) / (total * variance).squareRoot()).magnitude > 6 { isPartlyTrained = true }
    }
  }
}
