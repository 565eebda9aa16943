internal import CkptStateDicts
internal import CkptTensors

/// A parameter group as PyTorch saves it: its options in PyTorch's order, and its number of
/// parameters.
struct SavedGroup {
  var options: KeyValuePairs<String, PlainValue>
  var initialLearningRate: Double?
  var cycleBounds: CycleBounds?
  var count: Int

  /// The group with the values that schedulers keep in it.
  init<Options>(
    options: KeyValuePairs<String, PlainValue>, of group: ParameterGroup<Options>
  ) {
    self.options = options
    initialLearningRate = group.initialLearningRate
    cycleBounds = group.cycleBounds
    count = group.parameters.count
  }

  /// The values that schedulers store in a group, with PyTorch's names.
  fileprivate var kept: [(key: PlainValue, value: PlainValue)] {
    var result: [(name: String, value: Double?)] = [("initial_lr", initialLearningRate)]
    if let cycleBounds {
      result += [("max_lr", cycleBounds.maxRate), ("min_lr", cycleBounds.minRate)]
      if let momentum = cycleBounds.momentum {
        result += [("max_momentum", momentum.max), ("base_momentum", momentum.base)]
      }
    }
    return result.compactMap { name, value in value.map { (.string(name), .float($0)) } }
  }
}

extension ParameterGroup {
  /// Takes what schedulers keep in a group from a saved one; bounds that it lacks stay as they are.
  mutating func takeKept(from saved: PlainValue) {
    initialLearningRate = saved["initial_lr"]?.number
    func number(_ name: String) -> Double? {
      saved[name]?.number.flatMap { $0.isFinite ? $0 : nil }
    }
    guard let maxRate = number("max_lr"), let minRate = number("min_lr") else { return }
    var momentum: (max: Double, base: Double)?
    if let max = number("max_momentum"), let base = number("base_momentum") {
      momentum = (max, base)
    }
    cycleBounds = CycleBounds(maxRate: maxRate, minRate: minRate, momentum: momentum)
  }
}

/// Reads and writes optimizer states in the form of PyTorch's `state_dict()`: `state` by parameter
/// number, and `param_groups`.
enum OptimizerState {
  /// An optimizer's `state_dict()`.
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
      let options = group.options.map { (key: PlainValue.string($0.key), value: $0.value) }
      let numbers = (first..<first + group.count).map(PlainValue.int)
      first += group.count
      return .dict(options + group.kept + [(.string("params"), .list(numbers))])
    }
    return .dict(["state": .dict(entries), "param_groups": .list(saved)])
  }

  /// The parameter groups of a saved state.
  ///
  /// - Throws: `TrainingError.badState` unless the numbers of groups and of their parameters are
  ///   those of `counts`.
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

  /// The saved state of each parameter, in the groups' order; PyTorch numbers parameters across
  /// groups.
  static func entries(_ state: PlainValue, _ groups: [PlainValue]) -> [PlainValue?] {
    groups.flatMap { $0["params"]?.items ?? [] }.map { number in
      number.int.flatMap { state["state"]?[$0] }
    }
  }

  /// A saved tensor that belongs to a parameter, in the parameter's element type; nil if there is
  /// none.
  static func variable(_ value: PlainValue?, for parameter: Parameter, _ name: String) throws
    -> Variable?
  {
    guard let tensor = value?.tensor else { return nil }
    guard tensor.shape == parameter.shape else {
      throw TrainingError.badState("\(name) of shape \(tensor.shape) for \(parameter.shape)")
    }
    return try Variable(tensor).converted(to: parameter.scalarType)
  }

  /// A required finite number.
  static func number(_ value: PlainValue?, _ name: String) throws -> Double {
    if let number = value?.number, number.isFinite { return number }
    if let tensor = value?.tensor, tensor.elementCount == 1 { return try Variable(tensor).item() }
    throw TrainingError.badState("\(name) is no number")
  }

  /// A required nonnegative integer.
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

  /// A variable as a tensor that shares its memory.
  static func tensor(_ variable: Variable) throws -> PlainValue {
    .tensor(
      try Tensor(
        storage: variable.memory.storage, dtype: variable.scalarType.dtype,
        shape: variable.shape))
  }
}
