extension ChunkedBytes {
  /// The maximum number of dimensions along which a tensor may be split to many chunks.
  private static let cutLimit = 8
  /// The maximum number of chunks that are compared in pairs.
  private static let pairLimit = 2048

  /// Whether boxes within `shape` contain each element exactly once.
  ///
  /// This is so exactly if the boxes' corners, with alternating signs, sum up to the corners of the
  /// whole: the corners are the differences, along all dimensions, of the number of boxes that
  /// contain an element. The time is therefore proportional to the number of boxes, not to its
  /// square.
  ///
  /// - Throws: `TensorError.badGeometry` for thousands of boxes that are cut along more than eight
  ///   dimensions.
  static func fill(_ shape: [Int], _ chunks: [TensorChunk]) throws(TensorError) -> Bool {
    guard !shape.contains(0) else { return chunks.isEmpty }
    let cut = shape.indices.filter { dimension in
      chunks.contains { $0.sizes[dimension] != shape[dimension] }
    }
    guard !cut.isEmpty else { return chunks.count == 1 }
    // Strides for numbering corners, whose coordinates range from 0 to the size inclusive.
    var strides: [Int] = []
    var count = 1
    for dimension in cut {
      strides.append(count)
      let (positions, carry) = shape[dimension].addingReportingOverflow(1)
      let (next, overflow) = count.multipliedReportingOverflow(by: positions)
      guard !carry, !overflow, cut.count <= cutLimit else { return try overlapNowhere(chunks) }
      count = next
    }
    var corners: [Int: Int] = [:]
    func add(_ offsets: (Int) -> Int, _ sizes: (Int) -> Int, _ weight: Int) {
      for sides in 0..<1 << cut.count {
        var (number, sign) = (0, weight)
        for (position, dimension) in cut.enumerated() {
          let isFar = sides >> position & 1 == 1
          number += (offsets(dimension) + (isFar ? sizes(dimension) : 0)) * strides[position]
          if isFar { sign = -sign }
        }
        let sum = (corners[number] ?? 0) + sign
        corners[number] = sum == 0 ? nil : sum
      }
    }
    add({ _ in 0 }, { shape[$0] }, -1)
    for chunk in chunks { add({ chunk.offsets[$0] }, { chunk.sizes[$0] }, 1) }
    return corners.isEmpty
  }

  /// Whether no two boxes share an element, given that they have as many elements as the whole.
  private static func overlapNowhere(_ chunks: [TensorChunk]) throws(TensorError) -> Bool {
    guard chunks.count <= pairLimit else {
      throw .badGeometry("\(chunks.count) chunks are cut along more than \(cutLimit) dimensions")
    }
    for (index, first) in chunks.enumerated() {
      for second in chunks[..<index] {
        let share = first.offsets.indices.allSatisfy {
          first.offsets[$0] < second.offsets[$0] + second.sizes[$0]
            && second.offsets[$0] < first.offsets[$0] + first.sizes[$0]
        }
        if share { return false }
      }
    }
    return true
  }
}
