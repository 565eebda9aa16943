internal import CCkptKernels

/// A sum of the inputs with factors that are known beforehand: averages, task arithmetic, scaling.
struct FixedCombination: TensorMerge, BlockMerge {
  /// A factor for each input.
  let factors: [Double]
  /// Whether the first input is a base: the others count by their difference to it, and it is added once.
  let hasBase: Bool

  var needsPreparation: Bool { false }

  func prepared(by pass: InputPass) -> any BlockMerge { self }

  func merge(_ block: MergeBlock) {
    addCombination(of: block, factors: factors, hasBase: hasBase)
  }
}

/// Fills the output with the sum of the inputs, each times its factor.
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

/// A sum of the inputs whose factors follow from their lengths and the angles between them.
///
/// All that SLERP and its relatives do stays in the space that the inputs span, so the inner products of the inputs
/// decide everything: one pass finds them, in float64, and the result is one combination.
struct AngularCombination: TensorMerge {
  /// Which elements make a vector.
  enum Vectors: Sendable {
    /// All elements together.
    case whole
    /// Each run of so many elements.
    case rows(length: Int)
    /// The elements that are so many apart.
    case columns(count: Int)
  }

  let vectors: Vectors
  let hasBase: Bool
  /// From the inner products of the inputs (less the base, if there is one), row by row, a factor for each.
  let factors: @Sendable (_ products: [Double], _ count: Int) throws -> [Double]

  /// How many vectors a tensor may be taken for; each needs some numbers in memory.
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

  /// The inputs, less the base where there is one.
  private func differences(_ block: MergeBlock) -> [UnsafeMutablePointer<Double>] {
    guard hasBase else { return block.inputs }
    return zip(block.inputs.dropFirst(), block.scratch).map { input, room in
      ck_subtract(input, block.inputs[0], room, block.count)
      return room
    }
  }

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

  private struct Combined: BlockMerge {
    let vectors: Vectors
    let hasBase: Bool
    let factors: [[Double]]
    /// For vectors that are whole tensors: the one factor of each.
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

/// Cuts a block where its elements go on in another vector; for columns, where they begin again at the first.
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
