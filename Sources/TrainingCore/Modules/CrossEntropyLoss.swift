/// The cross entropy between logits and targets: PyTorch's `nn.CrossEntropyLoss`.
public struct CrossEntropyLoss {
  /// A weight for each class, of shape [classes]; nil for equal weights.
  public var weight: Variable?
  /// Targets of this class index do not contribute to the loss.
  public var ignoreIndex: Int
  /// How the losses of a batch become one number.
  public var reduction: Reduction
  /// The part of a target's probability that is spread evenly over all classes, from 0 to 1.
  public var labelSmoothing: Double

  /// A loss with PyTorch's defaults where nothing is given.
  public init(
    weight: Variable? = nil, ignoreIndex: Int = -100, reduction: Reduction = .mean,
    labelSmoothing: Double = 0
  ) {
    self.weight = weight
    self.ignoreIndex = ignoreIndex
    self.reduction = reduction
    self.labelSmoothing = labelSmoothing
  }

  /// The loss of logits for class indices or class probabilities.
  ///
  /// - Parameters:
  ///   - logits: of shape [batch, classes, ...] or [classes].
  ///   - targets: class indices of the logits' shape without the dimension of the classes, or
  ///     probabilities of the logits' shape.
  /// - Returns: one number, or with `.none` a loss for each target.
  /// - Throws: `TrainingError` if shapes or types do not fit, or an index is no class.
  public func callAsFunction(_ logits: Variable, _ targets: Variable) throws -> Variable {
    try logits.crossEntropy(
      targets, weight: weight, ignoreIndex: ignoreIndex, labelSmoothing: labelSmoothing,
      reduction: reduction)
  }
}
