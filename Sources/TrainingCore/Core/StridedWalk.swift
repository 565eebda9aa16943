/// Visits the rows of a shape in row-major order, with their offsets in several strided operands.
///
/// Adjacent dimensions are merged if the strides of all operands allow it, so that rows are long.
struct StridedWalk {
  private var shape: [Int] = []
  /// The strides of each operand.
  private var strides: [[Int]]

  init(shape: [Int], strides: [[Int]]) {
    self.strides = strides.map { _ in [] }
    for dimension in shape.indices where shape[dimension] != 1 {
      let size = shape[dimension]
      let merges =
        !self.shape.isEmpty
        && strides.indices.allSatisfy {
          self.strides[$0][self.shape.count - 1] == strides[$0][dimension] * size
        }
      if merges {
        self.shape[self.shape.count - 1] *= size
        for operand in strides.indices {
          self.strides[operand][self.shape.count - 1] = strides[operand][dimension]
        }
      } else {
        self.shape.append(size)
        for operand in strides.indices {
          self.strides[operand].append(strides[operand][dimension])
        }
      }
    }
    if self.shape.isEmpty {
      self.shape = [1]
      for operand in strides.indices { self.strides[operand] = [0] }
    }
  }

  /// Calls `body` for each row with its position in row-major order, its offset in each operand,
  /// its length and each operand's stride in it. Rows are shared among threads.
  func rows(
    grain: Int,
    _ body: (_ position: Int, _ starts: [Int], _ length: Int, _ steps: [Int]) -> Void
  ) {
    guard let length = shape.last, !shape.contains(0) else { return }
    let steps = strides.map { $0[shape.count - 1] }
    if shape.count == 1 {
      ComputeThreads.split(length, grain: grain) { range in
        body(range.lowerBound, steps.map { $0 * range.lowerBound }, range.count, steps)
      }
      return
    }
    let outer = shape.dropLast()
    let rowCount = outer.reduce(1, *)
    ComputeThreads.split(rowCount, grain: max(1, grain / length)) { range in
      var index = [Int](repeating: 0, count: outer.count)
      var rest = range.lowerBound
      for dimension in outer.indices.reversed() {
        index[dimension] = rest % shape[dimension]
        rest /= shape[dimension]
      }
      var starts = strides.map { strides in zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 } }
      for row in range {
        body(row * length, starts, length, steps)
        var dimension = outer.count - 1
        while dimension >= 0 {
          index[dimension] += 1
          for operand in starts.indices { starts[operand] += strides[operand][dimension] }
          if index[dimension] < shape[dimension] { break }
          for operand in starts.indices {
            starts[operand] -= strides[operand][dimension] * shape[dimension]
          }
          index[dimension] = 0
          dimension -= 1
        }
      }
    }
  }
}
