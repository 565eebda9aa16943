public import CkptStateDicts
internal import CkptTensors

extension Adam {
  /// The state as PyTorch's `state_dict()` gives it; tensors share memory with the optimizer.
  ///
  /// - Throws: `TensorError` if a tensor of the state cannot be described.
  public func stateDict() throws -> PlainValue {
    try OptimizerState.optimizer(
      groups.flatMap(\.parameters),
      groups: groups.map { group in
        let options = group.options
        return SavedGroup(
          options: [
            "lr": .float(options.learningRate),
            "betas": .tuple([.float(options.betas.beta1), .float(options.betas.beta2)]),
            "eps": .float(options.epsilon), "weight_decay": .float(options.weightDecay),
            "amsgrad": .bool(options.amsgrad), "maximize": .bool(options.maximize),
            "foreach": .none, "capturable": .bool(false), "differentiable": .bool(false),
            "fused": .none, "decoupled_weight_decay": .bool(options.decoupledWeightDecay),
          ], of: group)
      }
    ) { parameter in
      guard let state = states[ObjectIdentifier(parameter)] else { return [] }
      let step = try Tensor([Float(state.step)], shape: [])
      var entries: [(key: PlainValue, value: PlainValue)] = [
        (.string("step"), .tensor(step)),
        (.string("exp_avg"), try OptimizerState.tensor(state.expAvg)),
        (.string("exp_avg_sq"), try OptimizerState.tensor(state.expAvgSq)),
      ]
      if let largest = state.maxExpAvgSq {
        entries.append((.string("max_exp_avg_sq"), try OptimizerState.tensor(largest)))
      }
      return entries
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
      let betas = try OptimizerState.numbers(group["betas"], count: 2, "betas")
      loaded[i].options = Options(
        learningRate: try OptimizerState.number(group["lr"], "lr"),
        betas: Betas(betas[0], betas[1]),
        epsilon: try OptimizerState.number(group["eps"], "eps"),
        weightDecay: try OptimizerState.number(group["weight_decay"], "weight_decay"),
        amsgrad: group["amsgrad"]?.bool ?? false, maximize: group["maximize"]?.bool ?? false,
        // Before PyTorch 2.7, AdamW was a separate class whose groups did not have this option.
        decoupledWeightDecay: group["decoupled_weight_decay"]?.bool
          ?? groups[i].options.decoupledWeightDecay)
      loaded[i].takeKept(from: group)
    }
    var kept: [ObjectIdentifier: State] = [:]
    for (parameter, entry) in zip(
      groups.flatMap(\.parameters), OptimizerState.entries(state, saved))
    {
      guard let entry,
        let mean = try OptimizerState.variable(entry["exp_avg"], for: parameter, "exp_avg"),
        let square = try OptimizerState.variable(entry["exp_avg_sq"], for: parameter, "exp_avg_sq")
      else { continue }
      kept[ObjectIdentifier(parameter)] = State(
        step: try OptimizerState.number(entry["step"], "step"), expAvg: mean, expAvgSq: square,
        maxExpAvgSq: try OptimizerState.variable(
          entry["max_exp_avg_sq"], for: parameter, "max_exp_avg_sq"))
    }
    groups = loaded
    states = kept
  }
}
