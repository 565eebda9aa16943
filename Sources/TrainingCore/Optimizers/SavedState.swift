public import StateDicts
internal import TensorStore

/// Something whose state can be saved as PyTorch saves it, and taken up again from there.
public protocol Resumable {
  /// What PyTorch's `state_dict()` gives; tensors share memory with what is saved.
  func savedState() throws -> PlainValue
  /// Takes up a state that was saved here or by PyTorch.
  ///
  /// - Throws: `TrainingError.badState` if it does not fit, before anything is changed.
  func restore(_ state: PlainValue) throws
}

/// One param group as PyTorch saves it: its options in order, and its parameters' numbers.
struct SavedGroup {
  var options: KeyValuePairs<String, PlainValue>
  var initialLearningRate: Double?
  var count: Int
}

enum SavedState {
  /// An optimiser's `state_dict()`.
  static func optimizer(
    _ parameters: [Parameter], groups: [SavedGroup],
    state: (Parameter) throws -> [(key: PlainValue, value: PlainValue)]
  ) rethrows -> PlainValue {
    var entries: [(key: PlainValue, value: PlainValue)] = []
    for (number, parameter) in parameters.enumerated() {
      let kept = try state(parameter)
      if !kept.isEmpty { entries.append((.int(number), .dict(kept))) }
    }
    var first = 0
    let saved = groups.map { group -> PlainValue in
      var options = group.options.map { (key: PlainValue.string($0.key), value: $0.value) }
      if let rate = group.initialLearningRate {
        options.append((.string("initial_lr"), .float(rate)))
      }
      let numbers = (first..<first + group.count).map(PlainValue.int)
      first += group.count
      return .dict(options + [(.string("params"), .list(numbers))])
    }
    return .dict(["state": .dict(entries), "param_groups": .list(saved)])
  }

  /// The groups of a saved optimiser, each held against how many parameters there are here.
  static func groups(_ state: PlainValue, counts: [Int]) throws -> [PlainValue] {
    guard let groups = state["param_groups"]?.items, groups.count == counts.count else {
      throw TrainingError.badState(
        "\(state["param_groups"]?.items?.count ?? 0) param groups for \(counts.count)")
    }
    for (group, count) in zip(groups, counts) {
      let saved = group["params"]?.items?.count ?? 0
      guard saved == count else {
        throw TrainingError.badState("a param group of \(saved) parameters for one of \(count)")
      }
    }
    return groups
  }

  /// What is kept for each parameter, in the groups' order; PyTorch numbers them as they come.
  static func entries(_ state: PlainValue, _ groups: [PlainValue]) -> [PlainValue?] {
    groups.flatMap { $0["params"]?.items ?? [] }.map { number in
      number.int.flatMap { state["state"]?[$0] }
    }
  }

  /// A tensor kept for a parameter, as a variable of the parameter's type.
  static func variable(_ value: PlainValue?, for parameter: Parameter, _ name: String) throws
    -> Variable?
  {
    guard let tensor = value?.tensor else { return nil }
    guard tensor.shape == parameter.shape else {
      throw TrainingError.badState("\(name) of shape \(tensor.shape) for \(parameter.shape)")
    }
    return try Variable(tensor).converted(to: parameter.scalarType)
  }

  /// A number that must be there and finite.
  static func number(_ value: PlainValue?, _ name: String) throws -> Double {
    if let number = value?.number, number.isFinite { return number }
    if let tensor = value?.tensor, tensor.elementCount == 1 { return try Variable(tensor).item() }
    throw TrainingError.badState("\(name) is no number")
  }

  /// A whole number that must be there and not negative.
  static func count(_ value: PlainValue?, _ name: String) throws -> Int {
    guard let count = value?.int, count >= 0 else {
      throw TrainingError.badState("\(name) is no count")
    }
    return count
  }

  /// A list of numbers of a given length.
  static func numbers(_ value: PlainValue?, count: Int, _ name: String) throws -> [Double] {
    guard let items = value?.items, items.count == count else {
      throw TrainingError.badState("\(name) is no list of \(count) numbers")
    }
    return try items.map { try number($0, name) }
  }

  static func tensor(_ variable: Variable) throws -> PlainValue {
    .tensor(
      try Tensor(
        storage: variable.memory.storage, elementType: variable.scalarType.elementType,
        shape: variable.shape))
  }
}

extension SGD: Resumable {
  /// What PyTorch's `state_dict()` gives.
  public func savedState() throws -> PlainValue {
    try SavedState.optimizer(
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
          ], initialLearningRate: group.initialLearningRate, count: group.parameters.count)
      }
    ) { parameter in
      guard let momentum = momenta[ObjectIdentifier(parameter)] else { return [] }
      return [(.string("momentum_buffer"), try SavedState.tensor(momentum))]
    }
  }

  /// Takes up a state that was saved here or by PyTorch, options included.
  ///
  /// - Throws: `TrainingError.badState` if it does not fit, before anything is changed.
  public func restore(_ state: PlainValue) throws {
    let saved = try SavedState.groups(state, counts: groups.map(\.parameters.count))
    var restored = groups
    for (i, group) in saved.enumerated() {
      restored[i].options = Options(
        learningRate: try SavedState.number(group["lr"], "lr"),
        momentum: try SavedState.number(group["momentum"], "momentum"),
        dampening: try SavedState.number(group["dampening"], "dampening"),
        weightDecay: try SavedState.number(group["weight_decay"], "weight_decay"),
        nesterov: group["nesterov"]?.bool ?? false, maximize: group["maximize"]?.bool ?? false)
      restored[i].initialLearningRate = group["initial_lr"]?.number
    }
    var kept: [ObjectIdentifier: Variable] = [:]
    for (parameter, entry) in zip(
      groups.flatMap(\.parameters), SavedState.entries(state, saved))
    {
      kept[ObjectIdentifier(parameter)] = try SavedState.variable(
        entry?["momentum_buffer"], for: parameter, "momentum_buffer")
    }
    groups = restored
    momenta = kept
  }
}

extension Adam: Resumable {
  /// What PyTorch's `state_dict()` gives.
  public func savedState() throws -> PlainValue {
    try SavedState.optimizer(
      groups.flatMap(\.parameters),
      groups: groups.map { group in
        let options = group.options
        return SavedGroup(
          options: [
            "lr": .float(options.learningRate),
            "betas": .tuple([.float(options.betas.mean), .float(options.betas.square)]),
            "eps": .float(options.epsilon), "weight_decay": .float(options.weightDecay),
            "amsgrad": .bool(options.amsgrad), "maximize": .bool(options.maximize),
            "foreach": .none, "capturable": .bool(false), "differentiable": .bool(false),
            "fused": .none, "decoupled_weight_decay": .bool(options.decoupledWeightDecay),
          ], initialLearningRate: group.initialLearningRate, count: group.parameters.count)
      }
    ) { parameter in
      guard let state = states[ObjectIdentifier(parameter)] else { return [] }
      let step = try Tensor([Float(state.step)], shape: [])
      var entries: [(key: PlainValue, value: PlainValue)] = [
        (.string("step"), .tensor(step)),
        (.string("exp_avg"), try SavedState.tensor(state.mean)),
        (.string("exp_avg_sq"), try SavedState.tensor(state.square)),
      ]
      if let largest = state.largestSquare {
        entries.append((.string("max_exp_avg_sq"), try SavedState.tensor(largest)))
      }
      return entries
    }
  }

  /// Takes up a state that was saved here or by PyTorch, options included.
  ///
  /// - Throws: `TrainingError.badState` if it does not fit, before anything is changed.
  public func restore(_ state: PlainValue) throws {
    let saved = try SavedState.groups(state, counts: groups.map(\.parameters.count))
    var restored = groups
    for (i, group) in saved.enumerated() {
      let betas = try SavedState.numbers(group["betas"], count: 2, "betas")
      restored[i].options = Options(
        learningRate: try SavedState.number(group["lr"], "lr"), betas: Betas(betas[0], betas[1]),
        epsilon: try SavedState.number(group["eps"], "eps"),
        weightDecay: try SavedState.number(group["weight_decay"], "weight_decay"),
        amsgrad: group["amsgrad"]?.bool ?? false, maximize: group["maximize"]?.bool ?? false,
        // Before PyTorch 2.7 AdamW was a class of its own and its groups did not say so.
        decoupledWeightDecay: group["decoupled_weight_decay"]?.bool
          ?? groups[i].options.decoupledWeightDecay)
      restored[i].initialLearningRate = group["initial_lr"]?.number
    }
    var kept: [ObjectIdentifier: State] = [:]
    for (parameter, entry) in zip(
      groups.flatMap(\.parameters), SavedState.entries(state, saved))
    {
      guard let entry,
        let mean = try SavedState.variable(entry["exp_avg"], for: parameter, "exp_avg"),
        let square = try SavedState.variable(entry["exp_avg_sq"], for: parameter, "exp_avg_sq")
      else { continue }
      kept[ObjectIdentifier(parameter)] = State(
        step: try SavedState.number(entry["step"], "step"), mean: mean, square: square,
        largestSquare: try SavedState.variable(
          entry["max_exp_avg_sq"], for: parameter, "max_exp_avg_sq"))
    }
    groups = restored
    states = kept
  }
}
