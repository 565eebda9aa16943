internal import CCkptKernels

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

  subscript(vector: Int) -> ArraySlice<Double> {
    elements[vector * length..<(vector + 1) * length]
  }

  /// The inner product of a vector and `values`, which have the same length.
  func dot(_ vector: Int, _ values: UnsafeBufferPointer<Double>) -> Double {
    elements.withUnsafeBufferPointer { all in
      guard let all = all.baseAddress, let values = values.baseAddress else { return 0 }
      return ck_dot(all + vector * length, values, length)
    }
  }

  /// The inner product of a vector and a vector of another block.
  func dot(_ vector: Int, _ other: VectorBlock, _ index: Int) -> Double {
    other.elements.withUnsafeBufferPointer { all in
      dot(vector, UnsafeBufferPointer(rebasing: all[index * length..<(index + 1) * length]))
    }
  }

  /// The inner product of two vectors of the block.
  func dot(_ left: Int, _ right: Int) -> Double { dot(left, self, right) }

  /// Adds `factor` times another vector of the block to a vector.
  mutating func add(_ other: Int, times factor: Double, to vector: Int) {
    let length = length
    elements.withUnsafeMutableBufferPointer { all in
      guard let all = all.baseAddress, other != vector else { return }
      ck_add_scaled(all + vector * length, all + other * length, factor, length)
    }
  }

  /// Adds `factor` times `values` to a vector.
  mutating func add(_ values: UnsafeBufferPointer<Double>, times factor: Double, to vector: Int) {
    let length = length
    elements.withUnsafeMutableBufferPointer { all in
      guard let all = all.baseAddress, let values = values.baseAddress else { return }
      ck_add_scaled(all + vector * length, values, factor, length)
    }
  }

  /// Adds `factor` times a vector of another block to a vector.
  mutating func add(_ other: VectorBlock, _ index: Int, times factor: Double, to vector: Int) {
    other.elements.withUnsafeBufferPointer { all in
      let values = UnsafeBufferPointer(rebasing: all[index * length..<(index + 1) * length])
      add(values, times: factor, to: vector)
    }
  }

  /// The Euclidean norm of a vector, or of its elements from `start` on.
  func norm(of vector: Int, from start: Int = 0) -> Double {
    elements.withUnsafeBufferPointer { all in
      guard start < length, let all = all.baseAddress else { return 0 }
      let values = all + (vector * length + start)
      return ck_dot(values, values, length - start).squareRoot()
    }
  }

  /// Multiplies a vector by a number.
  mutating func scale(_ vector: Int, by factor: Double) {
    for index in vector * length..<(vector + 1) * length { elements[index] *= factor }
  }

  /// Applies a Householder reflection: replaces a vector x by x - factor v (v · x), where v is the block's
  /// vector at `position`, using elements from `start` on.
  mutating func reflect(_ vector: Int, at position: Int, _ factor: Double, from start: Int) {
    let (x, v) = (vector * length, position * length)
    var product = 0.0
    for index in start..<length { product += elements[x + index] * elements[v + index] }
    for index in start..<length {
      elements[x + index] -= factor * product * elements[v + index]
    }
  }

  /// Applies a Householder reflection with the vector v at `position` of another block, using elements from
  /// `position` on.
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
