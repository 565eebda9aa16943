/// Returns its input: PyTorch's `nn.Identity`.
public final class Identity: Module {
  /// The input itself.
  ///
  /// - Throws: nothing; the signature is that of ``Module``.
  override public func forward(_ input: Variable) throws -> Variable { input }
}

/// Merges neighboring dimensions into one: PyTorch's `nn.Flatten`.
public final class Flatten: Module {
  let first: Int
  let last: Int

  /// Merges the dimensions from `startDimension` to `endDimension`, both included; all but the
  /// batch by default.
  public init(startDimension: Int = 1, endDimension: Int = -1) {
    first = startDimension
    last = endDimension
  }

  /// The input with the dimensions merged.
  ///
  /// - Throws: `TrainingError.badArgument` if the input lacks one of the dimensions.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.flattened(startDimension: first, endDimension: last)
  }
}

/// Reorders dimensions: torchvision's `ops.Permute`.
public final class Permute: Module {
  let order: [Int]

  /// Puts dimension `dimensions[i]` of the input at index i.
  public init(_ dimensions: [Int]) { order = dimensions }

  /// The input with its dimensions reordered, as a view.
  ///
  /// - Throws: `TrainingError.badArgument` unless the order names each dimension of the input once.
  override public func forward(_ input: Variable) throws -> Variable { try input.permuted(order) }
}
