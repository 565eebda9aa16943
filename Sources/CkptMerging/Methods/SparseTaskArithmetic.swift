internal import CkptBytes
internal import CCkptKernels

/// A weighted sum of sparsified task vectors (differences to a base), with or without sign
/// election.
///
/// TIES (Yadav et al., 2023), DARE (Yu et al., 2023), Model Breadcrumbs (Davari and Belilovsky,
/// 2023), and DELLA (Deep et al., 2024) differ in how they choose the elements to keep.
struct SparseTaskArithmetic: TensorMerge {
  /// How the elements of a task vector to keep are chosen.
  enum Sparsity: Sendable {
    /// The elements with the largest magnitude.
    case largest(density: Double)
    /// Random elements, each with probability `density`.
    case random(density: Double)
    /// The elements with the largest magnitude, except the fraction `gamma` that is largest.
    case withoutOutliers(density: Double, gamma: Double)
    /// Random elements; the probability increases with the rank of the magnitude along dimension 1,
    /// from `density` - `epsilon` to `density` + `epsilon`.
    case randomByRank(density: Double, epsilon: Double)
  }

  /// How each task vector is sparsified.
  let sparsities: [Sparsity]
  /// The weight of each task vector.
  let weights: [Double]
  /// Sign election: whether only the elements whose sign is that of the sum are added.
  let electsSigns: Bool
  /// Whether the sum is divided by the weights of the elements that were added.
  let normalizes: Bool
  /// Whether the kept elements are scaled so that their magnitudes sum to those of the whole task
  /// vector.
  let rescales: Bool
  /// The factor of the sum before it is added to the base.
  let lambda: Double
  /// The key of the random numbers, which also depend on the element's index and the task vector's.
  let randomKey: UInt64
  /// For ranking: the number of elements for each index of dimension 0, and of dimension 1.
  let rowLength, innerCount: Int

  /// A multiple of the row length if elements are ranked within rows.
  var blockCount: Int {
    guard
      sparsities.contains(where: { if case .randomByRank = $0 { true } else { false } }),
      rowLength > 0
    else { return defaultBlockCount }
    return rowLength * max(1, defaultBlockCount / rowLength)
  }

  var needsPreparation: Bool {
    sparsities.contains { sparsity in
      switch sparsity {
      case .largest(let density), .withoutOutliers(let density, _): density < 1
      case .random(let density), .randomByRank(let density, _): rescales && density < 1
      }
    }
  }

  func prepared(by pass: InputPass) throws -> any BlockMerge {
    if blockCount > RankedProbabilities.largestRow {
      throw MergeError.rowTooLong(rowLength, limit: RankedProbabilities.largestRow)
    }
    var merge = SparseBlockMerge(
      method: self, rules: [KeepRule](repeating: .all, count: weights.count),
      scales: [Double](repeating: 1, count: weights.count), blockCount: blockCount)
    guard needsPreparation else { return merge }
    try chooseRules(pass, &merge.rules)
    guard rescales || merge.rules.contains(where: \.needsPass) else { return merge }
    var before = [Double](repeating: 0, count: weights.count)
    var after = before
    try pass.eachBlock { block in
      merge.subtractBase(block)
      for index in weights.indices {
        let delta = block.scratch[index]
        if rescales { before[index] += ck_sum_of_magnitudes(delta, block.count) }
        switch sparsities[index] {
        case .largest, .withoutOutliers:
          ck_magnitude_bits(delta, block.words[index], block.count)
          merge.rules[index].keepInOrder(delta, block.words[index], block.count)
        case .random, .randomByRank:
          merge.keepRandomly(index, block)
        }
        if rescales { after[index] += ck_sum_of_magnitudes(delta, block.count) }
      }
    }
    for index in weights.indices where rescales {
      // As in mergekit, task vectors with almost no magnitude are not rescaled.
      if before[index] >= 1e-7, after[index] >= 1e-7 {
        merge.scales[index] = before[index] / after[index]
      }
    }
    return merge
  }

  /// The ranks to keep among `count` magnitudes, from 0 for the smallest; nil for all.
  private func ranks(_ sparsity: Sparsity, _ count: Int) -> Range<Int>? {
    switch sparsity {
    case .random, .randomByRank: return nil
    case .largest(let density):
      if density >= 1 { return nil }
      if density <= 0 || count == 0 { return 0..<0 }
      return count - max(1, Int(saturating: density * Double(count)))..<count
    case .withoutOutliers(let density, let gamma):
      if density >= 1 { return nil }
      let kept = Int(saturating: max(density, 0) * Double(count))
      let largest = Int(saturating: min(max(gamma, 0), 1) * Double(count))
      let start = max(0, count - kept - largest)
      return start..<start + kept
    }
  }

  /// Finds the thresholds of the task vectors that are sparsified by rank, in two passes.
  private func chooseRules(_ pass: InputPass, _ rules: inout [KeepRule]) throws {
    var selections: [(index: Int, ranks: Range<Int>, RankSelection)] = []
    for (index, sparsity) in sparsities.enumerated() {
      guard let ranks = ranks(sparsity, pass.elementCount) else { continue }
      if ranks.isEmpty {
        rules[index] = .none
      } else {
        let ends = [ranks.lowerBound, ranks.upperBound - 1]
        selections.append((index, ranks, RankSelection(ranks: ends)))
      }
    }
    guard !selections.isEmpty else { return }
    func eachMagnitudes(
      _ body: (inout RankSelection, UnsafePointer<UInt32>, Int) -> Void
    ) throws {
      try pass.eachBlock { block in
        for position in selections.indices {
          let (delta, bits) = (block.scratch[0], block.words[0])
          let input = block.inputs[selections[position].index + 1]
          ck_subtract(input, block.inputs[0], delta, block.count)
          ck_magnitude_bits(delta, bits, block.count)
          body(&selections[position].2, bits, block.count)
        }
      }
    }
    try eachMagnitudes { $0.countFirst($1, $2) }
    for position in selections.indices { selections[position].2.beginSecond() }
    try eachMagnitudes { $0.countSecond($1, $2) }
    for (index, ranks, selection) in selections {
      let isLargest = if case .largest = sparsities[index] { true } else { false }
      rules[index] = KeepRule(ranks, prefersEarlier: isLargest, selection)
    }
  }
}

/// A merge of task vectors with known thresholds and scales.
private struct SparseBlockMerge: BlockMerge {
  let method: SparseTaskArithmetic
  var rules: [KeepRule]
  var scales: [Double]
  let blockCount: Int

  /// Writes the task vectors of a block to its scratch rows.
  func subtractBase(_ block: MergeBlock) {
    for index in method.weights.indices {
      ck_subtract(block.inputs[index + 1], block.inputs[0], block.scratch[index], block.count)
    }
  }

  /// Sets elements of a task vector in the scratch rows to zero at random; the same ones each time.
  func keepRandomly(_ index: Int, _ block: MergeBlock) {
    let (delta, numbers, count) = (block.scratch[index], block.words[index], block.count)
    func draw() {
      ck_random(numbers, UInt64(block.start), UInt64(index), method.randomKey, count)
    }
    switch method.sparsities[index] {
    case .largest, .withoutOutliers: return
    case .random(let density):
      if density >= 1 { return }
      draw()
      ck_keep_below(delta, numbers, UInt64(saturating: max(0, density) * 0x1p32), count)
    case .randomByRank(let density, let epsilon):
      if density >= 1 { return }
      if density <= 0 { return delta.update(repeating: 0, count: count) }
      // The output is not needed until the end, so it holds the probabilities.
      RankedProbabilities(
        density: density, epsilon: epsilon, rowLength: method.rowLength,
        innerCount: method.innerCount
      ).fill(block.output, for: delta, count)
      draw()
      ck_keep_with_probabilities(delta, numbers, block.output, count)
    }
  }

  func merge(_ block: MergeBlock) {
    subtractBase(block)
    let count = block.count
    for index in method.weights.indices {
      let delta = block.scratch[index]
      switch method.sparsities[index] {
      case .largest, .withoutOutliers:
        if rules[index].low > 0 || rules[index].high < .max {
          ck_magnitude_bits(delta, block.words[index], count)
          rules[index].keep(
            delta, block.words[index], count, block: block.start / blockCount)
        }
      case .random, .randomByRank: keepRandomly(index, block)
      }
      ck_scale(delta, scales[index] * method.weights[index], count)
    }
    let sum = block.scratch[method.weights.count]
    if method.electsSigns {
      ck_consensus(
        block.rows, method.weights, method.weights.count, 0, method.normalizes ? 1 : 0, 0, 1, sum,
        count)
    } else {
      sum.update(repeating: 0, count: count)
      let total = method.weights.reduce(0, +)
      let factor = method.normalizes && abs(total) >= 1e-8 ? 1 / total : 1
      for delta in block.scratch.prefix(method.weights.count) {
        ck_add_scaled(sum, delta, factor, count)
      }
    }
    block.output.update(from: block.inputs[0], count: count)
    ck_add_scaled(block.output, sum, method.lambda, count)
  }
}

/// The probability of keeping each element of a task vector, by the rank of its magnitude along
/// dimension 1.
struct RankedProbabilities {
  let density, epsilon: Double
  /// The number of elements for each index of dimension 0.
  let rowLength: Int
  /// The number of elements for each index of dimension 1.
  let innerCount: Int

  /// The maximum number of elements in a ranked row; several copies of a row are held in memory.
  static let largestRow = 1 << 19

  /// Writes the probabilities for `count` values, which are whole rows.
  func fill(
    _ probabilities: UnsafeMutablePointer<Double>, for values: UnsafePointer<Double>, _ count: Int
  ) {
    let length = rowLength / innerCount
    let step = length > 1 ? 2 * epsilon / Double(length - 1) : 0
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: max(length, 1)) { room in
      var order = room
      for row in stride(from: 0, to: count, by: rowLength) {
        for column in 0..<innerCount {
          for index in 0..<length {
            let value = values[row + index * innerCount + column]
            order[index] = UInt64(Float(abs(value)).bitPattern) << 32 | UInt64(index)
          }
          order.sort()
          for (rank, entry) in order.enumerated() where rank < length {
            let index = Int(entry & 0xFFFF_FFFF)
            probabilities[row + index * innerCount + column] =
              density - epsilon + Double(rank) * step
          }
        }
      }
    }
  }
}
