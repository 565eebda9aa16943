internal import CkptBytes
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptTensors

/// Carries out tensor plans: checks that the inputs fit, and creates the merged tensors, computed
/// on demand.
struct MergeExecution {
  private let merge: StateDictMerge
  private let context: MergeContext

  init(_ merge: StateDictMerge) {
    self.merge = merge
    context = MergeContext(keepsNaN: merge.keepsNaN, cancellation: merge.cancellation)
  }

  /// The tensors that one plan merges.
  private struct Parts {
    let plan: TensorPlan
    /// The tensors in the order in which the method takes them: the base first, if it is used.
    let tensors: [Tensor]
    /// The tensor whose shape, element type, and flags the result gets.
    let like: Tensor
  }

  /// Everything that decides a merged tensor's elements: the tensors merged and all parameter
  /// values looked up. Keys with equal identities share one storage, so that tied tensors stay
  /// tied.
  private struct Identity: Hashable {
    let views: [TensorView]
    let parameters: [Double?]
  }

  /// Merges the tensors of `plans` and stores them in a copy of `start`.
  ///
  /// - Parameter found: mismatches that are known already; they are reported with the others.
  /// - Throws: `MergeError`; `DerivedWeightError.noNumbers`; what reading the inputs throws.
  func carryOut(
    _ plans: [TensorPlan], over start: StateDict, _ found: [MergeError.Mismatch]
  ) throws -> StateDictMerge.Result {
    var mismatches = found
    var result = StateDictMerge.Result(stateDict: start)
    // The first input's values under the keys of the result.
    var before = start
    var all: [Parts] = []
    var kept: [TensorPlan] = []
    for plan in plans {
      if let source = plan.sources.first, let value = value(of: source) {
        before.setValue(value, for: plan.key)
      }
      if let parts = parts(of: plan, &mismatches) {
        all.append(parts)
      } else if let value = before.value(for: plan.key) {
        result.stateDict.setValue(value, for: plan.key)
        result.copied.append(plan.key)
        kept.append(plan)
      }
    }
    result.partwise = try checkNumbers(computed: all.map(\.plan), all: plans)
    guard mismatches.isEmpty else { throw MergeError.cannotMerge(mismatches) }
    var known: [Identity: Storage] = [:]
    // Random methods draw different numbers for each key, so that equal identities give different
    // elements.
    let keepsTies = !merge.method.isRandom
    for parts in all {
      let (operation, parameters) = try parts.plan.merge(
        merge.method, shape: parts.like.shape, seed: merge.seed)
      let identity = Identity(views: parts.tensors.map(\.view), parameters: parameters)
      let type = dtype(of: parts)
      let storage: Storage
      if let shared = known[identity], keepsTies {
        storage = shared
      } else {
        storage = try self.storage(of: parts, operation, type, &result)
        known[identity] = storage
      }
      var tensor = try Tensor(storage: storage, dtype: type, shape: parts.like.shape)
      tensor.requiresGrad = parts.like.requiresGrad
      tensor.isParameter = parts.like.isParameter
      result.stateDict.setValue(.tensor(tensor), for: parts.plan.key)
      result.merged.append(parts.plan.key)
      for source in parts.plan.sources where source.key != source.name {
        result.tiedHeads.append(
          TiedHead(
            key: source.name, input: merge.inputs[source.input].name, embedding: source.key))
      }
    }
    try compare(kept, &result)
    result.brokenTies = before.tiesBroken(in: result.stateDict)
    return result
  }

  /// Throws if stored parts of a weight (such as quantization codes) cannot be merged as numbers;
  /// returns the weights whose parts can be merged one by one.
  ///
  /// Codes are rejected even if they would only be copied, since they would no longer match the
  /// merged parts.
  private func checkNumbers(
    computed: [TensorPlan], all: [TensorPlan]
  ) throws(DerivedWeightError) -> [DerivedWeight] {
    let keys = { (plans: [TensorPlan]) in
      var keys = [[String]](repeating: [], count: merge.inputs.count)
      for source in plans.flatMap(\.sources) { keys[source.input].append(source.key) }
      return keys
    }
    var (partwise, seen) = ([DerivedWeight](), Set<DerivedWeight>())
    let (some, all) = (keys(computed), keys(all))
    for (number, input) in merge.inputs.enumerated() {
      let gate = NumberGate(input.stateDict)
      try gate.checkCodes(all[number], operation: "merge", input: input.name)
      let met = try gate.check(some[number], operation: "merge", input: input.name)
      partwise += met.filter { seen.insert($0).inserted }
    }
    return partwise
  }

  /// The value that a source refers to; nil if its input lacks the key.
  private func value(of source: TensorPlan.Source) -> StateDict.Value? {
    merge.inputs[source.input].stateDict.value(for: source.key)
  }

  /// What the elements of a merged tensor are: complex numbers stay what they are.
  private func dtype(of parts: Parts) -> DType {
    parts.like.dtype.isComplex
      ? parts.like.dtype : merge.dtype ?? parts.like.dtype
  }

  /// The storage of a merged tensor, computed when it is read.
  private func storage(
    of parts: Parts, _ operation: any TensorMerge, _ type: DType,
    _ result: inout StateDictMerge.Result
  ) throws -> Storage {
    // The factors are real, so real and imaginary parts can be merged separately.
    let tensors = try parts.tensors.map { try $0.viewAsReal() }
    let tally = MergeTally(key: parts.plan.key)
    let bytes = try MergedBytes(
      inputs: tensors, merge: operation,
      dtype: parts.like.dtype.isComplex ? type.realPart : type, context: context,
      tally: tally)
    result.tallies.append(tally)
    let sources = parts.plan.orderedSources(for: merge.method).sources
    for (source, tensor) in zip(sources, tensors) {
      context.add(key: source.key, input: merge.inputs[source.input].name, tensor)
    }
    return Storage(.computed(bytes), name: parts.plan.key)
  }

  /// The tensors that a plan merges; nil if the value is copied instead, or if the tensors do not
  /// fit, which is added to `mismatches`.
  private func parts(of plan: TensorPlan, _ mismatches: inout [MergeError.Mismatch]) -> Parts? {
    let (sources, hasBase) = plan.orderedSources(for: merge.method)
    let before = mismatches.count
    var tensors: [Tensor] = []
    // Without a base, the first input decides the type and the shape.
    let reference = hasBase ? sources[0] : plan.sources[plan.base ?? 0]
    let like = value(of: reference)?.tensor
    let isMerged = like.map { merge.method.merges($0) } ?? false
    for source in sources {
      let input = merge.inputs[source.input]
      guard let value = value(of: source) else {
        mismatches.append(.missing(key: source.key, input: input.name))
        continue
      }
      guard isMerged, let like else { continue }
      guard let tensor = value.tensor, !tensor.isMeta,
        ElementConversion.isSupported(from: tensor.dtype, to: .float64)
      else {
        mismatches.append(.noElements(key: source.key, input: input.name))
        continue
      }
      if tensor.shape != like.shape {
        mismatches.append(
          .shape(
            key: source.key, input: input.name, expected: like.shape, found: tensor.shape))
      } else if tensor.dtype != like.dtype,
        merge.dtype == nil || like.dtype.isComplex || tensor.dtype.isComplex
      {
        mismatches.append(
          .dtype(
            key: source.key, input: input.name, expected: like.dtype.name,
            found: tensor.dtype.name))
      }
      tensors.append(tensor)
    }
    guard isMerged, mismatches.count == before, let like else { return nil }
    return Parts(plan: plan, tensors: tensors, like: like)
  }

  /// Compares the copied values with those of the other inputs, reading tensors in blocks; fills
  /// `differing` and `notCompared` of the result.
  ///
  /// - Throws: `MergeError.unmergeable` with all values that differ and would have to be merged,
  ///   unless `keepsUnmergeable` is set.
  private func compare(
    _ plans: [TensorPlan], _ result: inout StateDictMerge.Result
  ) throws {
    var problems: [KeptValue] = []
    for plan in plans {
      try merge.cancellation.check()
      guard let first = plan.sources.first, let kept = value(of: first) else { continue }
      var others: [String] = []
      for source in plan.sources.dropFirst() {
        guard let value = value(of: source) else { continue }
        if try !kept.isSame(as: value) { others.append(merge.inputs[source.input].name) }
      }
      if case .object(let object) = kept, object.tensors.isEmpty, others.isEmpty,
        plan.sources.count > 1
      {
        result.notCompared.append(plan.key)
      }
      guard !others.isEmpty else { continue }
      let found = KeptValue(key: plan.key, what: kept.kind, inputs: others)
      result.differing.append(found)
      if !kept.isBuffer { problems.append(found) }
    }
    guard problems.isEmpty || merge.keepsUnmergeable else { throw MergeError.unmergeable(problems) }
  }
}
