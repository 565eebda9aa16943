internal import CkptTensors

/// A product of two low-rank matrices and a scale, which is added to a weight.
struct LowRankProduct: Sendable {
  /// The left matrix, of shape [rows, rank].
  let left: Tensor
  /// The right matrix, of shape [rank, columns].
  let right: Tensor
  let scale: Double

  /// The largest rank supported; a row of `left` is held in memory.
  static let largestRank = 65_536

  var rank: Int { right.shape[0] }
}

/// The reason an adapter's module does not fit the base.
struct Misfit: Error {
  let text: String
}

extension LowRankProduct {
  /// The product of an adapter's matrices, transposed if the weight is stored as inputs by outputs.
  ///
  /// - Parameters:
  ///   - weight: the base's weight at `key`, of two dimensions or a convolution's.
  ///   - down: the matrix of shape [rank, inputs]; for a convolution, [rank] followed by the
  ///     kernel's other dimensions.
  ///   - up: the matrix of shape [outputs, rank].
  ///   - isEmbedding: whether the weight is an embedding's, which is always transposed.
  ///   - flag: the configuration's `fan_in_fan_out`.
  ///   - scale: the factor of the product.
  /// - Throws: `Misfit` if shapes or types do not fit; `TensorError`.
  init(
    weight: Tensor, at key: String, down: Tensor, up: Tensor, isEmbedding: Bool, flag: Bool?,
    orientation: WeightOrientation, scale: Double
  ) throws {
    for tensor in [weight, down, up] {
      guard tensor.dtype.isFloat, !tensor.dtype.isComplex, !tensor.isMeta,
        !tensor.shape.contains(0), tensor.shape.count >= 2
      else { throw Misfit(text: "a matrix is no tensor of floats with two dimensions or more") }
    }
    let (rank, rows) = (down.shape[0], weight.shape[0])
    guard up.shape[1] == rank, up.shape.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      throw Misfit(text: "matrices of shapes \(up.shape) and \(down.shape) have no product")
    }
    guard rank <= Self.largestRank else {
      throw Misfit(text: "a product of rank \(rank); at most \(Self.largestRank) is supported")
    }
    let columns = down.elementCount / rank
    // Kernel dimensions of 1 can be dropped; others must match the weight's.
    let fits =
      up.shape[0] == rows && columns == weight.elementCount / rows
      && (down.shape.count <= 2 || Array(down.shape.dropFirst()) == Array(weight.shape.dropFirst())
        || down.shape.dropFirst(2).allSatisfy { $0 == 1 })
    let fitsTurned = weight.shape.count == 2 && weight.shape == [columns, up.shape[0]]
    guard fits || fitsTurned, fitsTurned || !isEmbedding else {
      throw Misfit(text: "a product of shape [\(up.shape[0]), \(columns)] for \(weight.shape)")
    }
    let isTurned: Bool
    if isEmbedding {
      isTurned = true
    } else if fits && fitsTurned {
      guard let known = orientation.isConv1D(square: key, flag: flag) else {
        throw Misfit(
          text: "nothing tells which way round the square weight is stored (fan_in_fan_out): as a "
            + "Linear or as a Conv1D")
      }
      isTurned = known
    } else {
      isTurned = fitsTurned
      if isTurned, let outputs = orientation.biasCount(of: key), outputs != weight.shape[1] {
        throw Misfit(
          text: "a product of shape [\(up.shape[0]), \(columns)] for \(weight.shape), whose bias "
            + "shows that it is not stored the other way round")
      }
    }
    let (right, left) = (
      try Self.matrix(down, [rank, columns]), try Self.matrix(up, [up.shape[0], rank])
    )
    self.init(
      left: isTurned ? try right.transposed() : left,
      right: isTurned ? try left.transposed() : right, scale: scale)
  }

  /// The product that adds `bias` times `scale` to a bias, as a matrix of one row.
  ///
  /// - Throws: `Misfit` if `bias` is not a vector of floats.
  init(bias: Tensor, scale: Double) throws {
    guard bias.dtype.isFloat, !bias.dtype.isComplex, !bias.isMeta,
      bias.shape.count == 1, !bias.shape.contains(0)
    else { throw Misfit(text: "the adapter's bias is no vector of floats") }
    self.init(
      left: try Tensor([1] as [Double], shape: [1, 1]),
      right: try Self.matrix(bias, [1, bias.elementCount]),
      scale: scale)
  }

  private static func matrix(_ tensor: Tensor, _ shape: [Int]) throws -> Tensor {
    if tensor.shape == shape { return tensor }
    // Tensors with more dimensions are read in row-major order.
    return try tensor.reshaped(to: shape)
  }
}
