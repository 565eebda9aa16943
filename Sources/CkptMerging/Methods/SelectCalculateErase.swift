internal import CCkptKernels
internal import Foundation
internal import CkptBytes

/// SCE (Wan et al., 2024): selects the elements with the largest variance, weights each task vector
/// by its mean square, and erases elements whose sign is in the minority.
struct SelectCalculateErase: TensorMerge {
  /// The fraction of the elements with non-zero variance that is selected.
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
          // The rule records ties once per block, not once per task vector.
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

    /// Writes the task vectors of a block to its scratch rows.
    func subtractBase(_ block: MergeBlock) {
      for index in weights.indices {
        ck_subtract(block.inputs[index + 1], block.inputs[0], block.scratch[index], block.count)
      }
    }

    /// The variance of each element over the task vectors, as float32 bits, in the block's first
    /// row of words.
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
      // Signs are elected by the unweighted sum; the weights are applied afterwards.
      let sum = block.scratch[weights.count]
      ck_consensus(
        block.rows, weights, weights.count, 1, 1, 1e-6, 1e-6, sum,
        block.count)
      block.output.update(from: block.inputs[0], count: block.count)
      ck_add_scaled(block.output, sum, 1, block.count)
    }
  }
}
