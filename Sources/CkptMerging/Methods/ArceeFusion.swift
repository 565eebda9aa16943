internal import CCkptKernels
internal import Foundation
internal import CkptBytes

/// Arcee Fusion: takes the second input's most important elements, and the base's elsewhere.
///
/// The importance of an element is its absolute difference times the Kullback-Leibler divergence of
/// its row's softmaxes. The threshold is the median plus 1.5 times the interquartile range.
struct ArceeFusion: TensorMerge {
  /// The number of elements in the last dimension.
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
    /// The smallest importance at which the second input's element is taken, as float32 bits.
    var limit: UInt32

    /// The importance of each element of a block, as float32 bits, in the block's first row of
    /// words.
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

    /// The Kullback-Leibler divergence: the sum of p log(p / q), where p and q are the softmaxes of
    /// `left` and `right`, each plus 1e-8.
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
