/// How the losses of a batch become the result.
public enum Reduction: String, Sendable, CaseIterable {
  /// A loss for each target.
  case none
  /// Their mean.
  case mean
  /// Their sum.
  case sum
}

extension Variable {
  fileprivate func reduced(_ reduction: Reduction) throws -> Variable {
    switch reduction {
    case .none: self
    case .mean: try mean()
    case .sum: try sum()
    }
  }

  /// The negative log-likelihood of targets, given log-probabilities: `F.nll_loss`.
  ///
  /// - Parameters:
  ///   - targets: class indices, of this variable's shape without its dimension 1.
  ///   - weight: a weight for each class, of shape [classes]; the mean is then a weighted mean.
  ///   - ignoreIndex: targets of this class index do not contribute.
  ///   - reduction: how the losses become the result.
  /// - Throws: `TrainingError` if shapes or element types do not fit, or a target is no class.
  public func nllLoss(
    _ targets: Variable, weight: Variable? = nil, ignoreIndex: Int = -100,
    reduction: Reduction = .mean
  ) throws -> Variable {
    try classLoss(
      targets, weight: weight, ignoreIndex: ignoreIndex, smoothing: 0, reduction, "nll_loss")
  }

  /// The cross entropy between these logits, of shape [batch, classes, ...] or [classes], and
  /// targets: `F.cross_entropy`.
  ///
  /// - Parameters:
  ///   - targets: class indices, of this variable's shape without the dimension of the classes; or
  ///     probabilities of this variable's shape.
  ///   - weight: a weight for each class, of shape [classes]; the mean is then a weighted mean.
  ///   - ignoreIndex: targets of this class index do not contribute.
  ///   - labelSmoothing: the part of a target's probability that is spread evenly over all classes,
  ///     from 0 to 1.
  ///   - reduction: how the losses become the result.
  /// - Throws: `TrainingError` if shapes or element types do not fit, or a target is no class.
  public func crossEntropy(
    _ targets: Variable, weight: Variable? = nil, ignoreIndex: Int = -100,
    labelSmoothing: Double = 0, reduction: Reduction = .mean
  ) throws -> Variable {
    guard (0...1).contains(labelSmoothing) else {
      throw TrainingError.badArgument(
        operation: "cross_entropy", problem: "label smoothing \(labelSmoothing)")
    }
    let classes = rank == 1 ? 0 : 1
    let logarithms = try logSoftmax(dimension: classes)
    if targets.scalarType.isFloatingPoint {
      guard targets.shape == shape else {
        throw TrainingError.badShape(
          operation: "cross_entropy",
          problem: "probabilities of shape \(targets.shape) for logits of shape \(shape)")
      }
      var wanted = targets
      if labelSmoothing > 0 {
        wanted = try wanted * (1 - labelSmoothing) + labelSmoothing / Double(shape[classes])
      }
      if let weight {
        wanted = try wanted * weight.reshaped([-1] + [Int](repeating: 1, count: max(rank - 2, 0)))
      }
      let losses = try -(logarithms * wanted).sum([classes])
      guard reduction == .mean else { return try losses.reduced(reduction) }
      return try losses.sum() / Double(max(count / max(shape[classes], 1), 1))
    }
    return try logarithms.classLoss(
      targets, weight: weight, ignoreIndex: ignoreIndex, smoothing: labelSmoothing, reduction,
      "cross_entropy")
  }

  /// The loss of log-probabilities for class indices.
  private func classLoss(
    _ targets: Variable, weight: Variable?, ignoreIndex: Int, smoothing: Double,
    _ reduction: Reduction, _ operation: String
  ) throws -> Variable {
    if rank == 1 {
      let loss = try unsqueezed(0).classLoss(
        targets.reshaped([1]), weight: weight, ignoreIndex: ignoreIndex, smoothing: smoothing,
        reduction, operation)
      return reduction == .none ? try loss.squeezed(0) : loss
    }
    guard rank >= 2, targets.scalarType == .int64,
      targets.shape == [shape[0]] + Array(shape.dropFirst(2))
    else {
      throw TrainingError.badShape(
        operation: operation,
        problem: "targets of shape \(targets.shape) for an input of shape \(shape)")
    }
    let classes = shape[1]
    if let weight, weight.shape != [classes] {
      throw TrainingError.badShape(
        operation: operation, problem: "weights of shape \(weight.shape) for \(classes) classes")
    }
    let wanted = try targets.integers()
    for target in wanted where target != ignoreIndex && !(0..<classes).contains(target) {
      throw TrainingError.badArgument(
        operation: operation, problem: "target \(target) is none of \(classes) classes")
    }
    let weights = try weight?.doubles()
    let inner = shape.dropFirst(2).reduce(1, *)
    let losses = try Variable(empty: targets.shape, scalarType)
    let source = try contiguous()
    var total = 0.0
    func forward<T: Scalar>(_: T.Type) {
      let (x, to) = (source.pointer(T.self), losses.pointer(T.self))
      for (i, target) in wanted.enumerated() {
        guard target != ignoreIndex else {
          to[i] = 0
          continue
        }
        let start = x + i / inner * classes * inner + i % inner
        let factor = weights?[target] ?? 1
        total += factor
        var loss = -Double(start[target * inner]) * factor * (1 - smoothing)
        if smoothing > 0 {
          var spread = 0.0
          for c in 0..<classes { spread -= Double(start[c * inner]) * (weights?[c] ?? 1) }
          loss += smoothing / Double(classes) * spread
        }
        to[i] = T(loss)
      }
    }
    scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source)
    let divisor = reduction == .mean ? total : 1
    let result: Variable
    if reduction == .none {
      result = losses
    } else {
      result = try losses.sum().multiplied(by: 1 / divisor)
    }
    let own = shape
    return result.computed(by: "class_loss", from: [self]) { gradient in
      let input = try Variable.zeros(own, gradient.scalarType)
      let slopes = try gradient.doubles()
      func backward<T: Scalar>(_: T.Type) {
        let to = input.pointer(T.self)
        for (i, target) in wanted.enumerated() where target != ignoreIndex {
          let slope = slopes[slopes.count == 1 ? 0 : i] / divisor
          let start = to + i / inner * classes * inner + i % inner
          if smoothing > 0 {
            for c in 0..<classes {
              start[c * inner] = T(-slope * smoothing / Double(classes) * (weights?[c] ?? 1))
            }
          }
          start[target * inner] -= T(slope * (1 - smoothing) * (weights?[target] ?? 1))
        }
      }
      gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      return [input]
    }
  }

  /// The squared error (x - y)²: `F.mse_loss`.
  ///
  /// - Throws: `TrainingError` if shapes or element types differ.
  public func mseLoss(_ targets: Variable, reduction: Reduction = .mean) throws -> Variable {
    try requireShape(of: targets, "mse_loss")
    let distance = try self - targets
    return try (distance * distance).reduced(reduction)
  }

  /// The absolute error |x - y|: `F.l1_loss`.
  ///
  /// - Throws: `TrainingError` if shapes or element types differ.
  public func l1Loss(_ targets: Variable, reduction: Reduction = .mean) throws -> Variable {
    try requireShape(of: targets, "l1_loss")
    return try (self - targets).abs().reduced(reduction)
  }

  /// The Kullback-Leibler divergence y (log y - x) of targets y from these log-probabilities x:
  /// `F.kl_div`.
  ///
  /// - Parameters:
  ///   - targets: probabilities of this variable's shape, or their logarithms if `logTarget`.
  ///   - logTarget: whether targets are logarithms.
  ///   - reduction: how the losses become the result.
  ///   - batchMean: whether the sum is divided by the size of dimension 0 (PyTorch's
  ///     `reduction="batchmean"`); overrides `reduction`.
  /// - Throws: `TrainingError` if shapes or element types differ.
  public func klDiv(
    _ targets: Variable, logTarget: Bool = false, reduction: Reduction = .mean,
    batchMean: Bool = false
  ) throws -> Variable {
    try requireShape(of: targets, "kl_div")
    let losses: Variable
    if logTarget {
      losses = try targets.exp() * (targets - self)
    } else {
      // 0 log 0 is 0.
      let entropy = try Variable(
        doubles: targets.doubles().map { $0 > 0 ? $0 * Double.log($0) : $0 }, shape: shape
      ).converted(to: scalarType)
      losses = try entropy - targets * self
    }
    if batchMean { return try losses.sum() / Double(shape.first ?? 1) }
    return try losses.reduced(reduction)
  }

  /// The binary cross entropy between these logits and probabilities:
  /// `F.binary_cross_entropy_with_logits`.
  ///
  /// - Parameters:
  ///   - targets: probabilities, of this variable's shape.
  ///   - weight: a factor for each loss, broadcast to this variable's shape.
  ///   - posWeight: a factor for the term of the positive class, broadcast to this variable's
  ///     shape; `pos_weight` in PyTorch.
  ///   - reduction: how the losses become the result.
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func binaryCrossEntropyWithLogits(
    _ targets: Variable, weight: Variable? = nil, posWeight: Variable? = nil,
    reduction: Reduction = .mean
  ) throws -> Variable {
    try requireShape(of: targets, "binary_cross_entropy_with_logits")
    // -log sigmoid(-x) is softplus(x), and log sigmoid(x) = x - softplus(x).
    let soft = try apply(SoftplusFunction.self)
    var positive = try targets * (soft - self)
    if let posWeight { positive = try positive * posWeight }
    var losses = try positive + (1 - targets) * soft
    if let weight { losses = try losses * weight }
    return try losses.reduced(reduction)
  }

  private func requireShape(of other: Variable, _ operation: String) throws {
    guard shape == other.shape else {
      throw TrainingError.badShape(
        operation: operation, problem: "targets of shape \(other.shape) for \(shape)")
    }
  }
}

/// log(1 + exp(x)).
private enum SoftplusFunction: UnaryFunction {
  static var name: StaticString { "softplus" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { max(x, 0) + T.log1p(T.exp(-x.magnitude)) }
  static func slope<T: Scalar>(_ x: T) -> T { 1 / (1 + T.exp(-x)) }
}
