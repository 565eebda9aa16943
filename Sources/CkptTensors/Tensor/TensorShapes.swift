internal import CkptBytes

// Views of a lazy tensor, as in PyTorch; nothing is read or copied.

extension Tensor {
  /// A range of indices along one dimension:
  /// `tensor.narrow(dimension, range.lowerBound, range.count)` in PyTorch.
  ///
  /// - Parameters:
  ///   - range: the indices along the dimension.
  ///   - dimension: the dimension, from 0, or from -1 for the last.
  /// - Throws: `TensorError.badGeometry` for a dimension or indices that the tensor does not have.
  public func sliced(_ range: Range<Int>, dimension: Int = 0) throws(TensorError) -> Tensor {
    let dimension = try checkedDimension(dimension)
    guard range.lowerBound >= 0, range.upperBound <= shape[dimension] else {
      throw .badGeometry("\(range) is not within dimension \(dimension) of \(shape)")
    }
    var sizes = shape
    sizes[dimension] = range.count
    // If the range is empty, the offset has no effect.
    let first = range.isEmpty ? 0 : range.lowerBound * strides[dimension]
    return try view(shape: sizes, strides: strides, offset: offset + first)
  }

  /// The elements at one index of a dimension, which is removed: `tensor.select(dimension, index)`
  /// in PyTorch.
  ///
  /// - Throws: `TensorError.badGeometry` for a dimension or an index that the tensor does not have.
  public func selected(_ index: Int, dimension: Int = 0) throws(TensorError) -> Tensor {
    let dimension = try checkedDimension(dimension)
    guard shape[dimension] > 0, index >= 0, index < shape[dimension] else {
      throw .badGeometry("\(index) is not within dimension \(dimension) of \(shape)")
    }
    let part = try sliced(index..<index + 1, dimension: dimension)
    var (sizes, steps) = (part.shape, part.strides)
    sizes.remove(at: dimension)
    steps.remove(at: dimension)
    return try view(shape: sizes, strides: steps, offset: part.offset)
  }

  /// The tensor with its dimensions in a different order: `tensor.permute(order)` in PyTorch.
  ///
  /// - Throws: `TensorError.badGeometry` unless each dimension occurs once in `order`.
  public func permuted(_ order: [Int]) throws(TensorError) -> Tensor {
    guard order.count == shape.count, Set(order).count == order.count,
      order.allSatisfy(shape.indices.contains)
    else { throw .badGeometry("\(order) is no order of the dimensions of \(shape)") }
    return try view(
      shape: order.map { shape[$0] }, strides: order.map { strides[$0] }, offset: offset)
  }

  /// The tensor with two dimensions swapped: `tensor.transpose(first, second)` in PyTorch.
  ///
  /// - Throws: `TensorError.badGeometry` for a dimension that the tensor does not have.
  public func transposed(_ first: Int = -2, _ second: Int = -1) throws(TensorError) -> Tensor {
    var order = Array(shape.indices)
    order.swapAt(try checkedDimension(first), try checkedDimension(second))
    return try permuted(order)
  }

  /// The same elements in row-major order with a different shape: `tensor.reshape(shape)` in
  /// PyTorch.
  ///
  /// For a contiguous tensor this is a view of its storage; otherwise the elements are gathered
  /// when they are read.
  ///
  /// - Parameter shape: the sizes; one of them may be -1, which is computed from the others.
  /// - Throws: `TensorError.badGeometry` if the number of elements differs; `TensorError.noData`
  ///   for a meta tensor that is not contiguous; `TensorError.expandedTooFar`.
  public func reshaped(to shape: [Int]) throws(TensorError) -> Tensor {
    let sizes = try checkedShape(shape)
    guard !isContiguous else { return try view(shape: sizes, strides: nil, offset: offset) }
    var result = try Tensor(
      storage: Storage(contiguousSource(), name: storage.name), dtype: dtype,
      shape: sizes)
    result.takeSigns(of: self)
    return result
  }

  /// The shape with -1 replaced by the computed size.
  private func checkedShape(_ wanted: [Int]) throws(TensorError) -> [Int] {
    let problem = TensorError.badGeometry("\(shape) cannot be reshaped to \(wanted)")
    let open = wanted.indices.filter { wanted[$0] == -1 }
    guard open.count <= 1, wanted.allSatisfy({ $0 >= -1 }) else { throw problem }
    var known = 1
    for size in wanted where size != -1 {
      let (next, overflow) = known.multipliedReportingOverflow(by: size)
      guard !overflow else { throw problem }
      known = next
    }
    guard let position = open.first else {
      guard known == elementCount else { throw problem }
      return wanted
    }
    guard known > 0, elementCount % known == 0 else { throw problem }
    var sizes = wanted
    sizes[position] = elementCount / known
    return sizes
  }

  private func checkedDimension(_ dimension: Int) throws(TensorError) -> Int {
    let counted = dimension < 0 ? dimension + shape.count : dimension
    guard shape.indices.contains(counted) else {
      throw .badGeometry("\(shape) has no dimension \(dimension)")
    }
    return counted
  }

  /// Another view of the same storage, with the same conjugation, negation, and quantization.
  private func view(shape: [Int], strides: [Int]?, offset: Int) throws(TensorError) -> Tensor {
    guard quantization == nil || quantization?.isPerTensor == true else {
      throw .badGeometry("a tensor with a scale for each channel has no other views here")
    }
    var result = try Tensor(
      storage: storage, dtype: dtype, shape: shape, strides: strides, offset: offset,
      isMeta: isMeta)
    result.takeSigns(of: self)
    return result
  }

  /// Copies the conjugation, negation, and quantization of `other`.
  private mutating func takeSigns(of other: Tensor) {
    requiresGrad = other.requiresGrad
    isConjugate = other.isConjugate
    isNegative = other.isNegative
    quantization = other.quantization
  }
}

extension Quantization {
  /// Whether all elements have the same scale.
  var isPerTensor: Bool { if case .perTensor = self { true } else { false } }
}
