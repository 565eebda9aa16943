public import CkptStateDicts

extension SGD {
  /// The state as PyTorch's `state_dict()` gives it; tensors share memory with the optimizer.
  ///
  /// - Throws: `TensorError` if a tensor of the state cannot be described.
  public func stateDict() throws -> PlainValue {
    try OptimizerState.optimizer(
      groups.flatMap(\.parameters),
      groups: groups.map { group in
        SavedGroup(
          options: [
            "lr": .float(group.options.learningRate),
            "momentum": .float(group.options.momentum),
            "dampening": .float(group.options.dampening),
            "weight_decay": .float(group.options.weightDecay),
            "nesterov": .bool(group.options.nesterov), "maximize": .bool(group.options.maximize),
            "foreach": .none, "differentiable": .bool(false), "fused": .none,
          ], of: group)
      }
    ) { parameter in
      guard let momentum = momentumBuffers[ObjectIdentifier(parameter)] else { return [] }
      return [(.string("momentum_buffer"), try OptimizerState.tensor(momentum))]
    }
  }

  /// Continues from a state that ``stateDict()`` or PyTorch gave; hyperparameters are taken from
  /// it, too.
  ///
  /// - Throws: `TrainingError.badState` if the state belongs to other parameters, before anything
  ///   is changed; what reading tensors throws.
  public func load(_ state: PlainValue) throws {
    let saved = try OptimizerState.groups(state, counts: groups.map(\.parameters.count))
    var loaded = groups
    for (i, group) in saved.enumerated() {
      loaded[i].options = Options(
        learningRate: try OptimizerState.number(group["lr"], "lr"),
        momentum: try OptimizerState.number(group["momentum"], "momentum"),
        dampening: try OptimizerState.number(group["dampening"], "dampening"),
        weightDecay: try OptimizerState.number(group["weight_decay"], "weight_decay"),
        nesterov: group["nesterov"]?.bool ?? false, maximize: group["maximize"]?.bool ?? false)
      loaded[i].takeKept(from: group)
    }
    var kept: [ObjectIdentifier: Variable] = [:]
    for (parameter, entry) in zip(
      groups.flatMap(\.parameters), OptimizerState.entries(state, saved))
    {
      kept[ObjectIdentifier(parameter)] = try OptimizerState.variable(
        entry?["momentum_buffer"], for: parameter, "momentum_buffer")
    }
    groups = loaded
    momentumBuffers = kept
  }
}
