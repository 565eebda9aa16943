public import Platform
public import StateDicts
public import TensorStore

/// Several state dicts made one: a plan that is carried out tensor by tensor while the result is written.
///
/// ```swift
/// let inputs = try [base, math, code].map { MergeInput(name: $0, stateDict: try Checkpoint($0).stateDict()) }
/// var merge = StateDictMerge(method: .ties, inputs: inputs, base: 0)
/// merge.settings[.weight] = MergeSetting(0.5)
/// merge.settings[.density] = MergeSetting(0.3)
/// let merged = try merge.merged().stateDict
/// ```
public struct StateDictMerge: Sendable {
  /// How tensors are merged.
  public var method: MergeMethod
  /// What is merged, in order.
  public var inputs: [MergeInput]
  /// Which input is the base; for methods that need one.
  public var base: Int?
  /// The settings that all inputs share; an input's own come before them.
  public var settings = MergeSettings()
  /// Which keys are merged; the others stay as the first input has them. Empty: all.
  public var selection = KeySelection()
  /// The module whose numbered children are the layers, for values over the layers; nil: the largest such.
  public var layers: String?
  /// What random methods depend on.
  public var seed: UInt64 = 0
  /// Whether NaN is merged like a number instead of being an error.
  public var keepsNaN = false
  /// What the merged elements are; nil: what the base's are, or the first input's.
  public var elementType: ElementType?
  /// Stops what goes through the inputs ahead of the writing.
  public var cancellation = Cancellation()

  /// A merge of `inputs` by `method`.
  public init(method: MergeMethod, inputs: [MergeInput], base: Int? = nil) {
    self.method = method
    self.inputs = inputs
    self.base = base
  }

  /// What came of a merge.
  public struct Result: Sendable {
    /// The first input with the merged tensors in their places, which are computed when they are read.
    public var stateDict: StateDict
    /// The keys whose tensors are merged.
    public var merged: [String] = []
    /// The selected keys that are as in the first input, since they are no real floating-point tensors.
    public var copied: [String] = []
    /// The weights that are computed from several keys, of which the parts were merged one by one.
    public var partwise: [DerivedWeight] = []
    /// The groups of keys that were tied in the first input and are not any more.
    public var brokenTies: [[String]] = []

    /// Nothing was merged yet.
    public init(stateDict: StateDict) { self.stateDict = stateDict }
  }

  /// Plans the merge; no element is read yet.
  ///
  /// - Throws: `MergeError` with everything that does not fit; `StateDictError.badPattern`;
  ///   `DerivedWeightError.noNumbers` for parts of weights, such as codes with scales beside them.
  public func merged() throws -> Result {
    guard let first = inputs.first else {
      throw MergeError.wrongInputs(method: method.name, problem: "needs inputs")
    }
    let selected = try selection.matcher()
    let numbering =
      layers.map { LayerNumbering(prefix: $0, keys: first.stateDict.keys) }
      ?? LayerNumbering(keys: first.stateDict.keys)
    if layers != nil, numbering == nil {
      throw MergeError.badParameter(
        name: "layers", problem: "names no module with numbered layers: \(layers ?? "")")
    }
    var plans: [TensorPlan] = []
    for (key, value) in first.stateDict.values where selected(key, value) {
      let t =
        if let numbering, let layer = numbering.layer(of: key) {
          numbering.count > 1 ? Double(layer) / Double(numbering.count - 1) : 1
        } else { 0.0 }
      plans.append(
        TensorPlan(
          key: key, t: t,
          sources: inputs.indices.map {
            .init(input: $0, key: key, settings: [inputs[$0].settings])
          },
          base: base, shared: [settings]))
    }
    var unexpected: [MergeError.Mismatch] = []
    for input in inputs.dropFirst() {
      for (key, value) in input.stateDict.values
      where selected(key, value) && first.stateDict.value(for: key) == nil {
        unexpected.append(.unexpected(key: key, input: input.name))
      }
    }
    return try MergeExecution(self).carryOut(plans, over: first.stateDict, unexpected)
  }
}

/// One of the state dicts that are merged.
public struct MergeInput: Sendable {
  /// What errors call it, such as its file.
  public let name: String
  /// Its tensors.
  public let stateDict: StateDict
  /// Values that count for this input only.
  public var settings: MergeSettings

  /// A state dict called `name`.
  public init(name: String, stateDict: StateDict, settings: MergeSettings = MergeSettings()) {
    self.name = name
    self.stateDict = stateDict
    self.settings = settings
  }
}

/// Turns plans into tensors.
struct MergeExecution {
  private let merge: StateDictMerge
  private let context: MergeContext
  private let matchers = PatternMatchers()

  init(_ merge: StateDictMerge) {
    self.merge = merge
    context = MergeContext(keepsNaN: merge.keepsNaN, cancellation: merge.cancellation)
  }

  /// The tensors of a plan, in the method's order.
  private struct Parts {
    let plan: TensorPlan
    let tensors: [Tensor]
    let like: Tensor
  }

  /// What decides the result: what is merged, and every value of a parameter that had a say. Tensors of which all
  /// of it is equal stay tied.
  private struct Identity: Hashable {
    let views: [TensorView]
    let parameters: [Double?]
  }

  func carryOut(
    _ plans: [TensorPlan], over start: StateDict, _ found: [MergeError.Mismatch]
  ) throws -> StateDictMerge.Result {
    var mismatches = found
    var result = StateDictMerge.Result(stateDict: start)
    // As the first input has them, under the names of the result.
    var before = start
    var all: [Parts] = []
    for plan in plans {
      if let source = plan.sources.first,
        let value = merge.inputs[source.input].stateDict.value(for: source.key)
      {
        before.setValue(value, for: plan.key)
      }
      guard let parts = parts(of: plan, &mismatches) else {
        if let value = before.value(for: plan.key) {
          result.stateDict.setValue(value, for: plan.key)
          result.copied.append(plan.key)
        }
        continue
      }
      all.append(parts)
    }
    result.partwise = try checkNumbers(computed: all.map(\.plan), all: plans)
    guard mismatches.isEmpty else { throw MergeError.cannotMerge(mismatches) }
    var known: [Identity: Storage] = [:]
    // A random method would draw other numbers for another key.
    let keepsTies = !merge.method.isRandom
    for parts in all {
      let (operation, parameters) = try parts.plan.merge(
        merge.method, shape: parts.like.shape, seed: merge.seed, matchers)
      let type = merge.elementType ?? parts.like.elementType
      let identity = Identity(views: parts.tensors.map(\.view), parameters: parameters)
      let storage: Storage
      if let shared = known[identity], keepsTies {
        storage = shared
      } else {
        let bytes = try MergedBytes(
          inputs: parts.tensors, merge: operation, elementType: type, context: context)
        storage = Storage(.computed(bytes), name: parts.plan.key)
        known[identity] = storage
        let sources = parts.plan.orderedSources(for: merge.method).sources
        for (source, tensor) in zip(sources, parts.tensors) {
          context.add(key: source.key, input: merge.inputs[source.input].name, tensor)
        }
      }
      var tensor = try Tensor(storage: storage, elementType: type, shape: parts.like.shape)
      tensor.requiresGrad = parts.like.requiresGrad
      tensor.isParameter = parts.like.isParameter
      result.stateDict.setValue(.tensor(tensor), for: parts.plan.key)
      result.merged.append(parts.plan.key)
    }
    result.brokenTies = before.tiesBroken(in: result.stateDict)
    return result
  }

  /// Refuses what is no weight but a part of one; gives the weights whose parts may be merged one by one.
  ///
  /// Codes are refused even where they would only be copied, since they would not be merged with the rest.
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

  /// The tensors that a plan names; nil for what is no real floating-point tensor, or if they do not fit.
  private func parts(of plan: TensorPlan, _ mismatches: inout [MergeError.Mismatch]) -> Parts? {
    let (sources, hasBase) = plan.orderedSources(for: merge.method)
    let before = mismatches.count
    var tensors: [Tensor] = []
    // Without a base the type and the shape are the first input's.
    let reference = hasBase ? sources[0] : plan.sources[plan.base ?? 0]
    let like = merge.inputs[reference.input].stateDict[reference.key]
    let isMerged = like.map { $0.elementType.isFloat && !$0.elementType.isComplex } ?? false
    for source in sources {
      let input = merge.inputs[source.input]
      guard let value = input.stateDict.value(for: source.key) else {
        mismatches.append(.missing(key: source.key, input: input.name))
        continue
      }
      guard isMerged, let like else { continue }
      guard let tensor = value.tensor, !tensor.isMeta,
        ElementConversion.isSupported(from: tensor.elementType, to: .float64)
      else {
        mismatches.append(.noElements(key: source.key, input: input.name))
        continue
      }
      if tensor.shape != like.shape {
        mismatches.append(
          .shape(
            key: source.key, input: input.name, expected: like.shape, found: tensor.shape))
      } else if tensor.elementType != like.elementType, merge.elementType == nil {
        mismatches.append(
          .elementType(
            key: source.key, input: input.name, expected: like.elementType.name,
            found: tensor.elementType.name))
      }
      tensors.append(tensor)
    }
    guard isMerged, mismatches.count == before, let like else { return nil }
    return Parts(plan: plan, tensors: tensors, like: like)
  }
}
