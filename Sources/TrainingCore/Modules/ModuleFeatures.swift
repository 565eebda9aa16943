extension Module {
  /// What a module inside is called with while this module computes its output: the features of a
  /// model, if the module inside is its head.
  ///
  /// Where `isOutput` and `isFixed` are true and no parameter outside the child changes, the
  /// model's output for `input` is the child's output for `features`, so that features may be kept
  /// while the child is trained. In batches of another size they may be rounded otherwise.
  /// - Parameters:
  ///   - key: the key of the module inside, such as `fc` or `classifier`.
  ///   - input: the input of this module. The whole forward pass is computed, without gradients.
  /// - Returns: nil if there is no such module or it is not called.
  ///   - features: the input of the module inside; of several calls, that of the first. It shares
  ///     no memory with larger variables.
  ///   - isOutput: whether the module inside is called exactly once, no other module is called
  ///     after it, and its output itself is this module's output.
  ///   - isFixed: whether the same input always has the same features: no module outside the child
  ///     drops elements at random or normalizes by the batch in training mode.
  /// - Throws: what ``forward(_:)`` throws.
  package func input(ofChild key: String, for input: Variable) throws
    -> (features: Variable, isOutput: Bool, isFixed: Bool)?
  {
    guard !key.isEmpty, let child = module(at: key) else { return nil }
    let own = Set(child.namedModules.map { ObjectIdentifier($0.module) })
    let others = namedModules.map(\.module).filter { !own.contains(ObjectIdentifier($0)) }
    let watched = others + [child]
    let before = watched.map(\.interceptor)
    defer { for (module, interceptor) in zip(watched, before) { module.interceptor = interceptor } }

    var features: Variable?
    var output: Variable?
    var isOutput = true
    for module in others {
      module.interceptor = { [unowned module] input in
        if output != nil { isOutput = false }
        return try module.forward(input)
      }
    }
    child.interceptor = { [unowned child] input in
      if features == nil { features = input } else { isOutput = false }
      let result = try child.forward(input)
      output = result
      return result
    }
    let result = try noGrad { try self(input) }
    guard let features else { return nil }
    let isCompact =
      features.isContiguous
      && features.memory.byteCount == features.count * features.scalarType.byteCount
    return (
      isCompact ? features : try features.detached().copied(), isOutput && result === output,
      others.allSatisfy { !$0.variesWhileTraining }
    )
  }

  /// Whether the module's own output for the same input differs from call to call in its present
  /// mode, or depends on the other inputs of the batch.
  private var variesWhileTraining: Bool {
    guard isTraining else { return false }
    return switch self {
    case let dropout as Dropout: dropout.probability > 0
    case let attention as MultiheadAttention: attention.dropout > 0
    case is BatchNorm: true
    default: false
    }
  }
}
