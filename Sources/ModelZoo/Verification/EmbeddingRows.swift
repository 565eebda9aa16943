/// The rows of a table that as a whole looks as it was begun: which of them training has moved.
struct EmbeddingRows {
  /// How many rows there are.
  let count: Int
  /// How many look as they were begun.
  private(set) var untouched = 0
  /// Whether some rows certainly do not.
  private(set) var isPartlyTrained = false

  /// Whether a table's rows are places in a text, of which those behind the longest one are never reached.
  static func isOfPositions(_ key: String) -> Bool {
    key.contains("position") || key.contains("pos_emb") || key.hasSuffix("wpe.weight")
  }

  /// - Parameter shape: rows and their width; nil for other shapes.
  init?(_ values: [Float], of shape: [Int], fit: DefaultInitialization) {
    guard shape.count == 2, shape[0] > 1, shape[1] > 0, values.count == shape[0] * shape[1],
      fit.standardDeviation > 0
    else { return nil }
    count = shape[0]
    let width = Double(shape[1])
    let variance = fit.shape.moments.secondVariance
    // The sum of squares over n numbers of deviation 1 has the mean n and the variance n · secondVariance; rows
    // that all are new exceed six of their deviations once in 10⁸, and those of a prefix as rarely.
    var sum = 0.0
    var next = 1
    for row in 0..<count {
      let numbers = values[row * shape[1]..<(row + 1) * shape[1]]
      let squares: Double = numbers.reduce(0.0) { $0 + Double($1) * Double($1) }
      let square = squares / (fit.standardDeviation * fit.standardDeviation)
      let off = ((square - width) / (width * variance).squareRoot()).magnitude
      if off <= 6 { untouched += 1 } else { isPartlyTrained = true }
      // Texts have a beginning: small changes show in the first rows together.
      sum += square
      guard row + 1 == next else { continue }
      next *= 2
      let total = width * Double(row + 1)
      if ((sum - total) / (total * variance).squareRoot()).magnitude > 6 { isPartlyTrained = true }
    }
  }
}
