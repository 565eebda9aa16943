internal import CkptStateDicts

extension OneCycleLR {
  /// The scheduler's arguments under the names of PyTorch's attributes.
  var savedCycle: KeyValuePairs<String, PlainValue> {
    let saved = phases.enumerated().map { index, phase -> PlainValue in
      // PyTorch has the last step as an int.
      let isLast = index == phases.count - 1
      let whole = isLast ? Int(exactly: phase.endStep) : nil
      return .dict([
        "end_step": whole.map(PlainValue.int) ?? .float(phase.endStep),
        "start_lr": .string(phase.rate.start.rawValue),
        "end_lr": .string(phase.rate.end.rawValue),
        "start_momentum": .string(phase.momentum.start.rawValue),
        "end_momentum": .string(phase.momentum.end.rawValue),
      ])
    }
    let (steps, kind) = (PlainValue.int(totalSteps), PlainValue.string(annealing.rawValue))
    guard cycleMomentum else {
      return [
        "total_steps": steps, "_schedule_phases": .list(saved), "_anneal_func_type": kind,
        "cycle_momentum": .bool(false),
      ]
    }
    return [
      "total_steps": steps, "_schedule_phases": .list(saved), "_anneal_func_type": kind,
      "cycle_momentum": .bool(true), "use_beta1": .bool(optimizer is Adam),
    ]
  }

  /// Checks the arguments in a state and returns what loads them.
  ///
  /// - Throws: `TrainingError.badState`.
  func loadingCycle(_ state: PlainValue) throws -> () -> Void {
    let totalSteps = try OptimizerState.count(state["total_steps"], "total_steps")
    guard (1...LRScheduler.longestPeriod).contains(totalSteps) else {
      throw TrainingError.badState("total_steps is \(totalSteps)")
    }
    guard let items = state["_schedule_phases"]?.items, (1...3).contains(items.count) else {
      throw TrainingError.badState("_schedule_phases is no list of phases")
    }
    let phases = try items.map { item in
      func bound(_ name: String, _ known: [Bound]) throws -> Bound {
        guard let bound = item[name]?.string.flatMap(Bound.init(rawValue:)), known.contains(bound)
        else { throw TrainingError.badState("\(name) of a phase is unknown") }
        return bound
      }
      let rates: [Bound] = [.initialRate, .maxRate, .minRate]
      let momenta: [Bound] = [.maxMomentum, .baseMomentum]
      return Phase(
        endStep: try OptimizerState.number(item["end_step"], "end_step"),
        rate: (try bound("start_lr", rates), try bound("end_lr", rates)),
        momentum: (try bound("start_momentum", momenta), try bound("end_momentum", momenta)))
    }
    guard let annealing = state["_anneal_func_type"]?.string.flatMap(Annealing.init(rawValue:))
    else {
      throw TrainingError.badState("_anneal_func_type is unknown")
    }
    guard let cycleMomentum = state["cycle_momentum"]?.bool else {
      throw TrainingError.badState("cycle_momentum is no bool")
    }
    return {
      (self.totalSteps, self.phases) = (totalSteps, phases)
      (self.annealing, self.cycleMomentum) = (annealing, cycleMomentum)
    }
  }
}
