/// `nn.CrossEntropyLoss`.
public struct CrossEntropyLoss {
  /// A weight for each class.
  public var weight: Variable?
  /// Targets of this number count for nothing.
  public var ignoreIndex: Int
  /// What is done with the batch's losses.
  public var reduction: Reduction
  /// The part of a target's probability that is spread evenly over all classes.
  public var labelSmoothing: Double

  /// PyTorch's defaults unless told.
  public init(
    weight: Variable? = nil, ignoreIndex: Int = -100, reduction: Reduction = .mean,
    labelSmoothing: Double = 0
  ) {
    self.weight = weight
    self.ignoreIndex = ignoreIndex
    self.reduction = reduction
    self.labelSmoothing = labelSmoothing
  }

  /// The loss of logits for class numbers or probabilities.
  public func callAsFunction(_ logits: Variable, _ targets: Variable) throws -> Variable {
    try logits.crossEntropy(
      targets, weight: weight, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing,
      reduction: reduction)
  }
}
