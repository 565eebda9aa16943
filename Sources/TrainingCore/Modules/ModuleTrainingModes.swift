extension Module {
  /// Sets training mode of this module and all inside, except evaluation mode of what is frozen:
  /// each top-level child that has parameters of which none is trainable, with all inside it, and
  /// each batch norm of which neither scales nor shifts are trainable. Running statistics of frozen
  /// parts then stay as they are, and nothing is dropped there.
  ///
  /// Top-level children without parameters are in training mode.
  /// - Returns: the keys of the batch norms that are in evaluation mode.
  @discardableResult
  package func trainUnlessFrozen() -> [String] {
    train()
    for case (_, .module(let child)) in members where child.isFrozen { child.eval() }
    return namedModules.compactMap { key, module in
      guard let norm = module as? BatchNorm else { return nil }
      if norm.isFrozen { norm.eval() }
      return norm.isTraining ? nil : key
    }
  }

  /// Whether there are parameters inside and none is trainable.
  private var isFrozen: Bool {
    let all = parameters
    return !all.isEmpty && all.allSatisfy { !$0.requiresGrad }
  }
}
