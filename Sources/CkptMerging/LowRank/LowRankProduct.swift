internal import CkptTensors

/// A product of two thin matrices, times a number, that is added to a weight.
struct LowRankProduct: Sendable {
  /// Of rows by rank.
  let left: Tensor
  /// Of rank by columns.
  let right: Tensor
  let scale: Double

  /// A larger rank is refused: a row of `left` is held in memory.
  static let largestRank = 65_536

  var rank: Int { right.shape[0] }
}

/// Why matrices and a weight do not fit each other.
struct Misfit: Error {
  let text: String
}

extension LowRankProduct {
  /// The product of an adapter's matrices, turned round where the weight stores inputs first.
  ///
  /// - Parameters:
  ///   - weight: the base's weight at `key`, of two dimensions or a convolution's.
  ///   - down: of rank by inputs, for a convolution rank by its other dimensions.
  ///   - up: of outputs by rank.
  ///   - flag: the configuration's `fan_in_fan_out`.
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
    // A kernel of one element each is no kernel; others must be those of the weight.
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

  /// What is added to a bias: `bias` as a matrix of one row.
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
    // Of a tensor with more dimensions the elements are read in order.
    return try tensor.reshaped(to: shape)
  }
}
