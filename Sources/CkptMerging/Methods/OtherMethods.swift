internal import CCkptKernels
internal import Foundation
internal import CkptBytes

/// SCE (Wan et al., 2024): the elements that vary most are selected, each task vector weighs by its energy, and the
/// minority's signs are erased.
struct SelectCalculateErase: TensorMerge {
  /// The part of the elements that vary at all which is selected.
  let density: Double

  func prepared(by pass: InputPass) throws -> any BlockMerge {
    let count = pass.inputs.count - 1
    var merge = Prepared(
      rule: .all, weights: [Double](repeating: 1 / Double(count), count: count),
      blockCount: blockCount)
    if density < 1 {
      var zeros = 0
      var selection = RankSelection(ranks: [])
      try pass.eachBlock { block in
        merge.subtractBase(block)
        let bits = merge.variances(block)
        zeros += ck_count_equal(bits, 0, block.count)
        selection.countFirst(bits, block.count)
      }
      let kept = density <= 0 ? 0 : Int(saturating: Double(pass.elementCount - zeros) * density)
      if kept == 0 {
        merge.rule = .none
      } else {
        let ranks = pass.elementCount - kept..<pass.elementCount
        selection.ranks = [ranks.lowerBound, ranks.upperBound - 1]
        selection.beginSecond()
        try pass.eachBlock { block in
          merge.subtractBase(block)
          selection.countSecond(merge.variances(block), block.count)
        }
        merge.rule = KeepRule(ranks, prefersEarlier: true, selection)
      }
    }
    var energies = [Double](repeating: 0, count: count)
    try pass.eachBlock { block in
      merge.subtractBase(block)
      if density < 1 {
        let bits = merge.variances(block)
        for index in 0..<count {
          // The rule counts ties once, whatever the number of task vectors.
          if index == 0 {
            merge.rule.keepInOrder(block.scratch[index], bits, block.count)
          } else {
            merge.rule.keep(
              block.scratch[index], bits, block.count, block: block.start / blockCount)
          }
        }
      }
      for index in 0..<count {
        energies[index] += ck_dot(block.scratch[index], block.scratch[index], block.count)
      }
    }
    let means = energies.map { $0 / Double(max(pass.elementCount, 1)) }
    let sum = means.reduce(0, +)
    if abs(sum) >= 1e-6 { merge.weights = means.map { $0 / sum } }
    return merge
  }

  private struct Prepared: BlockMerge {
    var rule: KeepRule
    var weights: [Double]
    let blockCount: Int

    func subtractBase(_ block: MergeBlock) {
      for index in weights.indices {
        ck_subtract(block.inputs[index + 1], block.inputs[0], block.scratch[index], block.count)
      }
    }

    func variances(_ block: MergeBlock) -> UnsafeMutablePointer<UInt32> {
      ck_variance_bits(block.rows, weights.count, block.words[0], block.count)
      return block.words[0]
    }

    func merge(_ block: MergeBlock) {
      subtractBase(block)
      let deltas = block.scratch.prefix(weights.count)
      if rule.low > 0 || rule.high < .max {
        let bits = variances(block)
        for delta in deltas {
          rule.keep(delta, bits, block.count, block: block.start / blockCount)
        }
      }
      // The election is by the unweighted sum; the weights come after it.
      let sum = block.scratch[weights.count]
      ck_consensus(
        block.rows, weights, weights.count, 1, 1, 1e-6, 1e-6, sum,
        block.count)
      block.output.update(from: block.inputs[0], count: block.count)
      ck_add_scaled(block.output, sum, 1, block.count)
    }
  }
}

/// NearSwap: the base takes over the other's elements where they are near, and moves by `t` towards them elsewhere.
struct NearSwap: TensorMerge, BlockMerge {
  let t: Double

  var needsPreparation: Bool { false }
  func prepared(by pass: InputPass) -> any BlockMerge { self }

  func merge(_ block: MergeBlock) {
    ck_near_swap(block.inputs[0], block.inputs[1], t, block.output, block.count)
  }
}

/// Arcee Fusion: the base takes over the other's elements that matter most.
///
/// What matters is the distance times the Kullback-Leibler divergence of the rows' softmaxes; the limit is the
/// median plus one and a half interquartile ranges.
struct ArceeFusion: TensorMerge {
  /// How many elements the last dimension has.
  let rowLength: Int

  var blockCount: Int { max(1, rowLength) * max(1, defaultBlockCount / max(1, rowLength)) }

  func prepared(by pass: InputPass) throws -> any BlockMerge {
    guard blockCount <= RankedProbabilities.largestRow else {
      throw MergeError.rowTooLong(rowLength, limit: RankedProbabilities.largestRow)
    }
    let count = pass.elementCount
    guard count > 0 else { return Prepared(rowLength: 1, limit: 0) }
    let quarters = [0.25, 0.5, 0.75].map { Int(saturating: $0 * Double(count - 1)) }
    var selection = RankSelection(ranks: quarters)
    var prepared = Prepared(rowLength: rowLength, limit: 0)
    try pass.eachBlock { selection.countFirst(prepared.importance($0), $0.count) }
    selection.beginSecond()
    try pass.eachBlock { selection.countSecond(prepared.importance($0), $0.count) }
    let found = quarters.map { Float(bitPattern: selection.found(rank: $0)?.bits ?? 0) }
    prepared.limit = max(0, found[1] + 1.5 * (found[2] - found[0])).bitPattern
    return prepared
  }

  private struct Prepared: BlockMerge {
    let rowLength: Int
    /// The least importance that changes the base, as bits.
    var limit: UInt32

    func importance(_ block: MergeBlock) -> UnsafeMutablePointer<UInt32> {
      let (base, other) = (block.inputs[0], block.inputs[1])
      for start in stride(from: 0, to: block.count, by: rowLength) {
        let divergence = Self.divergence(
          UnsafeBufferPointer(start: other + start, count: rowLength),
          UnsafeBufferPointer(start: base + start, count: rowLength))
        ck_difference_bits(
          other + start, base + start, divergence, block.words[0] + start, rowLength)
      }
      return block.words[0]
    }

    /// The sum of p log(p / q) over the softmaxes p of `left` and q of `right`, each plus 1e-8.
    private static func divergence(
      _ left: UnsafeBufferPointer<Double>, _ right: UnsafeBufferPointer<Double>
    ) -> Double {
      let leftTop = left.max() ?? 0, rightTop = right.max() ?? 0
      let leftSum = left.reduce(0) { $0 + exp($1 - leftTop) }
      let rightSum = right.reduce(0) { $0 + exp($1 - rightTop) }
      var sum = 0.0
      for index in left.indices {
        let p = exp(left[index] - leftTop) / leftSum + 1e-8
        let q = exp(right[index] - rightTop) / rightSum + 1e-8
        sum += p * log(p / q)
      }
      return max(0, sum)
    }

    func merge(_ block: MergeBlock) {
      let bits = importance(block)
      ck_choose(block.inputs[0], block.inputs[1], bits, limit, block.output, block.count)
    }
  }
}
