public import CkptStateDicts

extension LRScheduler: Stateful {
  /// The state as PyTorch's `state_dict()` gives it.
  public func stateDict() -> PlainValue {
    var entries = options.map { (key: PlainValue.string($0.key), value: $0.value) }
    if let sequence = self as? SequentialLR {
      entries += [
        (.string("_milestones"), .list(sequence.milestones.map(PlainValue.int))),
        (.string("last_epoch"), .int(lastEpoch)),
        (.string("_last_lr"), .list(lastLearningRates.map(PlainValue.float))),
        (.string("_schedulers"), .list(sequence.schedulers.map { $0.stateDict() })),
      ]
      return .dict(entries)
    }
    entries += [
      (.string("base_lrs"), .list(baseLearningRates.map(PlainValue.float))),
      (.string("last_epoch"), .int(lastEpoch)),
      (.string("_step_count"), .int(max(lastEpoch, 0) + 1)),
      (.string("_is_initial"), .bool(false)),
      (.string("_get_lr_called_within_step"), .bool(false)),
      (.string("_last_lr"), .list(lastLearningRates.map(PlainValue.float))),
    ]
    return .dict(entries)
  }

  /// Continues from a state that ``stateDict()`` or PyTorch gave: the epoch and, as in PyTorch, the
  /// scheduler's arguments. The learning rates themselves belong to the optimizer, whose own state
  /// has them.
  ///
  /// - Throws: `TrainingError.badState` if the state is of another kind of scheduler or makes no
  ///   sense, before anything is changed.
  public func load(_ state: PlainValue) throws { try loading(state)() }

  /// Checks a state and returns what loads it.
  private func loading(_ state: PlainValue) throws -> () -> Void {
    // Schedulers of a sequence that have not begun yet are at -1.
    guard let epoch = state["last_epoch"]?.int, (-1...LRScheduler.longestPeriod).contains(epoch)
    else { throw TrainingError.badState("last_epoch is no count") }
    if let sequence = self as? SequentialLR {
      guard let states = state["_schedulers"]?.items, states.count == sequence.schedulers.count
      else { throw TrainingError.badState("the schedulers of a sequence are others") }
      let milestones = state["_milestones"]?.items?.compactMap(\.int) ?? []
      guard milestones.count == sequence.milestones.count, milestones == milestones.sorted() else {
        throw TrainingError.badState("the milestones of a sequence are \(milestones)")
      }
      let parts = try zip(sequence.schedulers, states).map { try $0.loading($1) }
      return {
        for part in parts { part() }
        sequence.milestones = milestones
        self.lastEpoch = epoch
      }
    }
    let rates = try OptimizerState.numbers(
      state["base_lrs"], count: baseLearningRates.count, "base_lrs")
    let loadOptions = try loadingOptions(state)
    return {
      loadOptions()
      self.baseLearningRates = rates
      self.lastEpoch = epoch
    }
  }

  /// The scheduler's arguments under the names of PyTorch's attributes.
  private var options: KeyValuePairs<String, PlainValue> {
    switch self {
    case let it as StepLR: ["step_size": .int(it.stepSize), "gamma": .float(it.gamma)]
    case let it as MultiStepLR:
      [
        "milestones": .counter(it.milestones.map { (.int($0.epoch), $0.times) }),
        "gamma": .float(it.gamma),
      ]
    case let it as ExponentialLR: ["gamma": .float(it.gamma)]
    case let it as CosineAnnealingLR: ["T_max": .int(it.tMax), "eta_min": .float(it.etaMin)]
    case let it as LinearLR:
      [
        "start_factor": .float(it.startFactor), "end_factor": .float(it.endFactor),
        "total_iters": .int(it.totalIters),
      ]
    case let it as ConstantLR: ["factor": .float(it.factor), "total_iters": .int(it.totalIters)]
    case let it as OneCycleLR: it.savedCycle
    default: [:]
    }
  }

  /// Checks the arguments in a state and returns what loads them.
  private func loadingOptions(_ state: PlainValue) throws -> () -> Void {
    func number(_ name: String, in range: ClosedRange<Double>) throws -> Double {
      let value = try OptimizerState.number(state[name], name)
      guard range.contains(value) else { throw TrainingError.badState("\(name) is \(value)") }
      return value
    }
    func period(_ name: String, least: Int = 1) throws -> Int {
      let value = try OptimizerState.count(state[name], name)
      guard (least...LRScheduler.longestPeriod).contains(value) else {
        throw TrainingError.badState("\(name) is \(value)")
      }
      return value
    }
    let any = -Double.greatestFiniteMagnitude...Double.greatestFiniteMagnitude
    switch self {
    case let it as StepLR:
      let (stepSize, gamma) = (try period("step_size"), try number("gamma", in: any))
      return { (it.stepSize, it.gamma) = (stepSize, gamma) }
    case let it as MultiStepLR:
      guard case .counter(let saved) = state["milestones"] else {
        throw TrainingError.badState("milestones is no Counter")
      }
      let milestones = try saved.map { key, times in
        guard let epoch = key.int, times >= 0 else {
          throw TrainingError.badState("milestones does not count epochs")
        }
        return (epoch: epoch, times: times)
      }
      let gamma = try number("gamma", in: any)
      return { (it.milestones, it.gamma) = (milestones, gamma) }
    case let it as ExponentialLR:
      let gamma = try number("gamma", in: any)
      return { it.gamma = gamma }
    case let it as CosineAnnealingLR:
      let (tMax, etaMin) = (try period("T_max"), try number("eta_min", in: any))
      return { (it.tMax, it.etaMin) = (tMax, etaMin) }
    case let it as LinearLR:
      let start = try number("start_factor", in: Double.leastNonzeroMagnitude...1)
      let (end, totalIters) = (try number("end_factor", in: 0...1), try period("total_iters"))
      return { (it.startFactor, it.endFactor, it.totalIters) = (start, end, totalIters) }
    case let it as ConstantLR:
      let factor = try number("factor", in: Double.leastNonzeroMagnitude...1)
      let totalIters = try period("total_iters", least: 0)
      return { (it.factor, it.totalIters) = (factor, totalIters) }
    case let it as OneCycleLR: return try it.loadingCycle(state)
    default: return {}
    }
  }
}
