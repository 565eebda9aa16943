public import StateDicts

extension Scheduler: Resumable {
  /// What PyTorch's `state_dict()` gives.
  public func savedState() throws -> PlainValue {
    var entries = savedOptions.map { (key: PlainValue.string($0.key), value: $0.value) }
    if let sequence = self as? SequentialLR {
      entries += [
        (.string("_milestones"), .list(sequence.milestones.map(PlainValue.int))),
        (.string("last_epoch"), .int(lastEpoch)),
        (.string("_last_lr"), .list(lastRates.map(PlainValue.float))),
        (.string("_schedulers"), .list(try sequence.schedulers.map { try $0.savedState() })),
      ]
      return .dict(entries)
    }
    entries += [
      (.string("base_lrs"), .list(baseRates.map(PlainValue.float))),
      (.string("last_epoch"), .int(lastEpoch)),
      (.string("_step_count"), .int(max(lastEpoch, 0) + 1)),
      (.string("_is_initial"), .bool(false)),
      (.string("_get_lr_called_within_step"), .bool(false)),
      (.string("_last_lr"), .list(lastRates.map(PlainValue.float))),
    ]
    return .dict(entries)
  }

  /// Takes up a state that was saved here or by PyTorch: how far the scheduler is and, as in PyTorch, its
  /// options. The rates themselves are the optimiser's, which is restored by itself.
  ///
  /// - Throws: `TrainingError.badState` if it does not fit, before anything is changed.
  public func restore(_ state: PlainValue) throws { try restoring(state)() }

  /// Checks a state, and gives what takes it up.
  private func restoring(_ state: PlainValue) throws -> () -> Void {
    // Those of a sequence that have not begun yet are at -1.
    guard let epoch = state["last_epoch"]?.int, (-1...Scheduler.longestPeriod).contains(epoch)
    else { throw TrainingError.badState("last_epoch is no count") }
    if let sequence = self as? SequentialLR {
      guard let states = state["_schedulers"]?.items, states.count == sequence.schedulers.count
      else { throw TrainingError.badState("the schedulers of a sequence are others") }
      let milestones = state["_milestones"]?.items?.compactMap(\.int) ?? []
      guard milestones.count == sequence.milestones.count, milestones == milestones.sorted() else {
        throw TrainingError.badState("the milestones of a sequence are \(milestones)")
      }
      let parts = try zip(sequence.schedulers, states).map { try $0.restoring($1) }
      return {
        for part in parts { part() }
        sequence.milestones = milestones
        self.lastEpoch = epoch
      }
    }
    let rates = try SavedState.numbers(state["base_lrs"], count: baseRates.count, "base_lrs")
    let takeOptions = try restoringOptions(state)
    return {
      takeOptions()
      self.baseRates = rates
      self.lastEpoch = epoch
    }
  }

  /// The scheduler's own options, as PyTorch keeps them.
  private var savedOptions: KeyValuePairs<String, PlainValue> {
    switch self {
    case let it as StepLR: ["step_size": .int(it.stepSize), "gamma": .float(it.gamma)]
    case let it as MultiStepLR:
      [
        "milestones": .counter(it.milestones.map { (.int($0.epoch), $0.times) }),
        "gamma": .float(it.gamma),
      ]
    case let it as ExponentialLR: ["gamma": .float(it.gamma)]
    case let it as CosineAnnealingLR: ["T_max": .int(it.halfPeriod), "eta_min": .float(it.least)]
    case let it as LinearLR:
      [
        "start_factor": .float(it.startFactor), "end_factor": .float(it.endFactor),
        "total_iters": .int(it.epochs),
      ]
    case let it as ConstantLR: ["factor": .float(it.factor), "total_iters": .int(it.epochs)]
    default: [:]
    }
  }

  /// Checks the options of a state, and gives what takes them up.
  private func restoringOptions(_ state: PlainValue) throws -> () -> Void {
    func number(_ name: String, in range: ClosedRange<Double>) throws -> Double {
      let value = try SavedState.number(state[name], name)
      guard range.contains(value) else { throw TrainingError.badState("\(name) is \(value)") }
      return value
    }
    func period(_ name: String) throws -> Int {
      let value = try SavedState.count(state[name], name)
      guard (1...Scheduler.longestPeriod).contains(value) else {
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
      let (halfPeriod, least) = (try period("T_max"), try number("eta_min", in: any))
      return { (it.halfPeriod, it.least) = (halfPeriod, least) }
    case let it as LinearLR:
      let start = try number("start_factor", in: Double.leastNonzeroMagnitude...1)
      let (end, epochs) = (try number("end_factor", in: 0...1), try period("total_iters"))
      return { (it.startFactor, it.endFactor, it.epochs) = (start, end, epochs) }
    case let it as ConstantLR:
      let factor = try number("factor", in: Double.leastNonzeroMagnitude...1)
      let epochs = try period("total_iters")
      return { (it.factor, it.epochs) = (factor, epochs) }
    default: return {}
    }
  }
}
