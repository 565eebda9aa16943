internal import CkptPlatform

/// A list of vectors of the same length, stored one after the other.
struct VectorBlock {
  let length: Int
  private(set) var elements: [Double]
  private(set) var count = 0

  /// Creates an empty list with room for `capacity` vectors.
  init(length: Int, capacity: Int) {
    self.length = length
    elements = []
    elements.reserveCapacity(length * capacity)
  }

  /// Adds a vector of zeros.
  mutating func append() {
    elements += repeatElement(0, count: length)
    count += 1
  }

  /// Adds a vector.
  mutating func append(_ vector: some Collection<Double>) {
    elements += vector
    count += 1
  }

  /// Removes all vectors after the first `kept`.
  mutating func keep(first kept: Int) {
    elements.removeLast((count - kept) * length)
    count = kept
  }

  func value(_ vector: Int, _ index: Int) -> Double { elements[vector * length + index] }

  mutating func set(_ vector: Int, _ index: Int, _ value: Double) {
    elements[vector * length + index] = value
  }

  subscript(vector: Int) -> ArraySlice<Double> { elements[range(of: vector)] }

  private func range(of vector: Int) -> Range<Int> { vector * length..<(vector + 1) * length }

  /// The inner product of a vector and `values`, which have the same length.
  func dot(_ vector: Int, _ values: Span<Double>) -> Double {
    elements.withSpan { VectorKernels.dot($0.extracting(range(of: vector)), values) }
  }

  /// The inner product of a vector and a vector of another block.
  func dot(_ vector: Int, _ other: VectorBlock, _ index: Int) -> Double {
    other.elements.withSpan { dot(vector, $0.extracting(other.range(of: index))) }
  }

  /// The inner product of two vectors of the block.
  func dot(_ left: Int, _ right: Int) -> Double { dot(left, self, right) }

  /// Adds `factor` times another vector of the block to a vector.
  mutating func add(_ other: Int, times factor: Double, to vector: Int) {
    guard other != vector else { return }
    let (source, target) = (range(of: other), range(of: vector))
    elements.withMutableSpan { VectorKernels.add(source, times: factor, to: target, of: &$0) }
  }

  /// Adds `factor` times `values` to a vector.
  mutating func add(_ values: Span<Double>, times factor: Double, to vector: Int) {
    let target = range(of: vector)
    elements.withMutableSpan { all in
      var sums = all._mutatingExtracting(target)
      VectorKernels.add(values, times: factor, to: &sums)
    }
  }

  /// Adds `factor` times a vector of another block to a vector.
  mutating func add(_ other: VectorBlock, _ index: Int, times factor: Double, to vector: Int) {
    other.elements.withSpan { all in
      add(all.extracting(other.range(of: index)), times: factor, to: vector)
    }
  }

  /// The Euclidean norm of a vector, or of its elements from `start` on.
  func norm(of vector: Int, from start: Int = 0) -> Double {
    elements.withSpan { all in
      let values = all.extracting(range(of: vector)).extracting(min(start, length)...)
      return VectorKernels.dot(values, values).squareRoot()
    }
  }

  /// Multiplies a vector by a number.
  mutating func scale(_ vector: Int, by factor: Double) {
    for index in vector * length..<(vector + 1) * length { elements[index] *= factor }
  }

  /// Applies a Householder reflection: replaces a vector x by x - factor v (v · x), where v is the
  /// block's vector at `position`, using elements from `start` on.
  mutating func reflect(_ vector: Int, at position: Int, _ factor: Double, from start: Int) {
    let (x, v) = (vector * length, position * length)
    var product = 0.0
    for index in start..<length { product += elements[x + index] * elements[v + index] }
    for index in start..<length {
      elements[x + index] -= factor * product * elements[v + index]
    }
  }

  /// Applies a Householder reflection with the vector v at `position` of another block, using
  /// elements from `position` on.
  mutating func reflect(_ vector: Int, by block: VectorBlock, _ position: Int, _ factor: Double) {
    guard factor != 0 else { return }
    let (x, v) = (vector * length, position * length)
    var product = 0.0
    for index in position..<length { product += elements[x + index] * block.elements[v + index] }
    for index in position..<length {
      elements[x + index] -= factor * product * block.elements[v + index]
    }
  }
}
