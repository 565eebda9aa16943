internal import CCkptKernels

/// A weighted sum of the inputs with factors known in advance: averages, task arithmetic, scaling.
struct FixedCombination: TensorMerge, BlockMerge {
  /// The factor of each input except the base.
  let factors: [Double]
  /// Whether the first input is a base; if so, the differences of the others to it are multiplied
  /// by the factors and added to it.
  let hasBase: Bool

  var needsPreparation: Bool { false }

  func prepared(by pass: InputPass) -> any BlockMerge { self }

  func merge(_ block: MergeBlock) {
    addCombination(of: block, factors: factors, hasBase: hasBase)
  }
}

/// Sets the block's output to the sum of the inputs, each times its factor; with a base, to the
/// base plus the weighted differences to it.
func addCombination(of block: MergeBlock, factors: [Double], hasBase: Bool) {
  let (output, count) = (block.output, block.count)
  guard hasBase else {
    output.update(repeating: 0, count: count)
    for (input, factor) in zip(block.inputs, factors) where factor != 0 {
      ck_add_scaled(output, input, factor, count)
    }
    return
  }
  let base = block.inputs[0]
  output.update(from: base, count: count)
  for (input, factor) in zip(block.inputs.dropFirst(), factors) where factor != 0 {
    ck_subtract(input, base, block.scratch[0], count)
    ck_add_scaled(output, block.scratch[0], factor, count)
  }
}

/// A weighted sum of the inputs whose factors depend on their lengths and the angles between them.
///
/// SLERP and related methods give a result in the span of the inputs, with factors that depend on
/// the inner products of the inputs only. One pass computes these products in float64; the result
/// is a single linear combination.
struct AngularCombination: TensorMerge {
  /// Which elements of a tensor form a vector.
  enum Vectors: Sendable {
    /// All elements form one vector.
    case whole
    /// Each run of `length` consecutive elements forms a vector.
    case rows(length: Int)
    /// The elements that are `count` apart form a vector, so that there are `count` vectors.
    case columns(count: Int)
  }

  let vectors: Vectors
  let hasBase: Bool
  /// Computes a factor for each input from the row-major `count` by `count` matrix of the inner
  /// products of the inputs (minus the base, if there is one).
  let factors: @Sendable (_ products: [Double], _ count: Int) throws -> [Double]

  /// The maximum number of vectors in a tensor; each needs some numbers in memory.
  private static let largestVectorCount = 1 << 20

  func prepared(by pass: InputPass) throws -> any BlockMerge {
    let count = pass.inputs.count - (hasBase ? 1 : 0)
    let total = pass.elementCount
    let vectorCount =
      switch vectors {
      case .whole: 1
      case .rows(let length): total / max(length, 1)
      case .columns(let count): count
      }
    guard vectorCount <= Self.largestVectorCount else {
      throw MergeError.tooManyVectors(vectorCount, limit: Self.largestVectorCount)
    }
    let pairs = (0..<count).flatMap { left in (left..<count).map { (left, $0) } }
    var products = [[Double]](
      repeating: [Double](repeating: 0, count: vectorCount), count: pairs.count)
    try pass.eachBlock { block in
      let operands = differences(block)
      for (pair, (left, right)) in pairs.enumerated() {
        add(operands[left], operands[right], block, to: &products[pair])
      }
    }
    var result = [[Double]](
      repeating: [Double](repeating: 0, count: vectorCount), count: count)
    var matrix = [Double](repeating: 0, count: count * count)
    for vector in 0..<vectorCount {
      for (pair, (left, right)) in pairs.enumerated() {
        matrix[left * count + right] = products[pair][vector]
        matrix[right * count + left] = products[pair][vector]
      }
      for (input, factor) in try factors(matrix, count).enumerated() {
        result[input][vector] = factor
      }
    }
    return Combined(
      vectors: vectors, hasBase: hasBase, factors: result,
      wholeFactors: result.compactMap(\.first))
  }

  /// The inputs, minus the base if there is one.
  private func differences(_ block: MergeBlock) -> [UnsafeMutablePointer<Double>] {
    guard hasBase else { return block.inputs }
    return zip(block.inputs.dropFirst(), block.scratch).map { input, room in
      ck_subtract(input, block.inputs[0], room, block.count)
      return room
    }
  }

  /// Adds the inner products of a block's elements to the sum of each vector.
  private func add(
    _ left: UnsafeMutablePointer<Double>, _ right: UnsafeMutablePointer<Double>,
    _ block: MergeBlock, to sums: inout [Double]
  ) {
    eachRun(of: vectors, in: block) { vector, range in
      switch vectors {
      case .whole, .rows:
        sums[vector] += ck_dot(left + range.lowerBound, right + range.lowerBound, range.count)
      case .columns:
        sums.withUnsafeMutableBufferPointer {
          guard let sums = $0.baseAddress else { return }
          ck_add_products(
            sums + vector, left + range.lowerBound, right + range.lowerBound, range.count)
        }
      }
    }
  }

  /// A linear combination with a factor for each input and vector.
  private struct Combined: BlockMerge {
    let vectors: Vectors
    let hasBase: Bool
    let factors: [[Double]]
    /// The factor of each input if the whole tensor is one vector.
    let wholeFactors: [Double]

    func merge(_ block: MergeBlock) {
      if case .whole = vectors {
        return addCombination(of: block, factors: wholeFactors, hasBase: hasBase)
      }
      let output = block.output
      if hasBase {
        output.update(from: block.inputs[0], count: block.count)
      } else {
        output.update(repeating: 0, count: block.count)
      }
      for (input, factors) in zip(block.inputs.dropFirst(hasBase ? 1 : 0), factors) {
        var values = input
        if hasBase {
          values = block.scratch[0]
          ck_subtract(input, block.inputs[0], values, block.count)
        }
        eachRun(of: vectors, in: block) { vector, range in
          let (sum, part) = (output + range.lowerBound, values + range.lowerBound)
          if case .columns = vectors {
            factors.withUnsafeBufferPointer {
              guard let factors = $0.baseAddress else { return }
              ck_add_products(sum, part, factors + vector, range.count)
            }
          } else {
            ck_add_scaled(sum, part, factors[vector], range.count)
          }
        }
      }
    }
  }
}

/// Splits a block into runs and calls `body` with each. For rows, a run lies within one row and
/// `vector` is the row's number; for columns, a run ends with the last column and `vector` is the
/// number of its first column.
private func eachRun(
  of vectors: AngularCombination.Vectors, in block: MergeBlock,
  _ body: (_ vector: Int, _ range: Range<Int>) -> Void
) {
  let length: Int
  switch vectors {
  case .whole: return body(0, 0..<block.count)
  case .rows(let rowLength): length = rowLength
  case .columns(let count): length = count
  }
  var position = 0
  while position < block.count {
    let element = block.start + position
    let end = min(block.count, position + length - element % length)
    if case .rows = vectors {
      body(element / length, position..<end)
    } else {
      body(element % length, position..<end)
    }
    position = end
  }
}
