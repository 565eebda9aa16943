public import CkptPlatform
public import CkptStateDicts
public import CkptTensors

/// A merge of several state dicts; tensors are computed in blocks when the result is read or written.
///
/// ```swift
/// let inputs = try [base, math, code].map {
///   MergeInput(name: $0, stateDict: try Checkpoint(contentsOf: $0).stateDict())
/// }
/// let merge = try StateDictMerge(inputs, by: .ties(base: 0, weights: [0.7, 0.3], densities: [0.5]))
/// let merged = try merge.merged().stateDict
/// ```
public struct StateDictMerge: Sendable {
  /// How tensors are merged.
  public var method: MergeMethod
  /// The inputs, in order.
  public var inputs: [MergeInput]
  /// Which input is the base; for methods that need one.
  public var base: Int?
  /// The settings that all inputs share; an input's own come before them.
  public var settings = MergeSettings()
  /// Which keys are merged; the others stay as the first input has them. Empty: all.
  public var selection = KeySelection()
  /// The module whose numbered children are the layers, for values over the layers; nil: the largest such.
  public var layers: String?
  /// The seed of methods that draw random numbers.
  public var seed: UInt64 = 0
  /// Whether what cannot be merged (quantized tensors, subclasses, other objects) stays the first input's where the
  /// inputs differ, instead of being an error.
  public var keepsUnmergeable = false
  /// Whether NaN is merged like a number, and may come of infinities, instead of being an error.
  public var keepsNaN = false
  /// The dtype of the merged tensors; nil for that of the base, or of the first input.
  public var dtype: DType?
  /// Stops the passes over the inputs that come before the output is written.
  public var cancellation = Cancellation()

  /// A merge of `inputs` by `method`.
  public init(method: MergeMethod, inputs: [MergeInput], base: Int? = nil) {
    self.method = method
    self.inputs = inputs
    self.base = base
  }

  /// A merge of `inputs` with a base of its own, which may be one of them under another name.
  ///
  /// Without a base, the first input is the base of a method that needs one.
  /// - Throws: `MergeError.wrongInputs` for a base that the method has no use for.
  package init(
    method: MergeMethod, inputs: [MergeInput], base: MergeInput?
  ) throws(MergeError) {
    guard let base else {
      self.init(method: method, inputs: inputs, base: method.baseUse == .required ? 0 : nil)
      return
    }
    guard method.baseUse != .ignored else {
      throw .wrongInputs(method: method.name, problem: "has no base; name all inputs in a row")
    }
    let known = inputs.firstIndex { !$0.identity.isEmpty && $0.identity == base.identity }
    self.init(
      method: method, inputs: known == nil ? inputs + [base] : inputs,
      base: known ?? inputs.count)
  }

  /// The result of planning a merge.
  public struct Result: Sendable {
    /// The first input with the merged tensors in their places, which are computed when they are read.
    public var stateDict: StateDict
    /// The keys whose tensors are merged.
    public var merged: [String] = []
    /// The selected keys that are as in the first input, since they are not merged.
    public var copied: [String] = []
    /// The weights that are computed from several keys, of which the parts were merged one by one.
    public var partwise: [DerivedWeight] = []
    /// Those of them of which another input has another value.
    public var differing: [KeptValue] = []
    /// Those of them that were not looked into: objects without tensors.
    public var notCompared: [String] = []
    /// Heads that a model lacks and ties to its embedding, which was merged in their place.
    public var tiedHeads: [TiedHead] = []
    /// What the numbers of each merged tensor lose, counted while it is read.
    public var tallies: [MergeTally] = []
    /// The same of inputs that are rounded before they are merged.
    public var roundings: [(key: String, input: String, tally: ConversionTally)] = []
    /// The groups of keys that were tied in the first input and are not any more.
    public var brokenTies: [[String]] = []

    /// A result without merged keys.
    public init(stateDict: StateDict) { self.stateDict = stateDict }
  }

  /// Plans the merge; no element is read yet.
  ///
  /// - Throws: `MergeError` with everything that does not fit; `PatternError`;
  ///   `DerivedWeightError.noNumbers` for parts of weights, such as codes with scales beside them.
  public func merged() throws -> Result {
    guard let first = inputs.first else {
      throw MergeError.wrongInputs(method: method.name, problem: "needs inputs")
    }
    let numbering =
      layers.map { LayerNumbering(prefix: $0, keys: first.stateDict.keys) }
      ?? LayerNumbering(keys: first.stateDict.keys)
    if layers != nil, numbering == nil {
      throw MergeError.badParameter(
        name: "layers", problem: "names no module with numbered layers: \(layers ?? "")")
    }
    var plans: [TensorPlan] = []
    for (key, value) in first.stateDict where selection.matches(key, value) {
      let t =
        if let numbering, let layer = numbering.layer(of: key) {
          numbering.count > 1 ? Double(layer) / Double(numbering.count - 1) : 1
        } else { 0.0 }
      plans.append(
        TensorPlan(
          key: key, t: t,
          sources: inputs.indices.map {
            .init(input: $0, key: key, name: key, settings: [inputs[$0].settings])
          },
          base: base, shared: [settings]))
    }
    var unexpected: [MergeError.Mismatch] = []
    for input in inputs.dropFirst() {
      for (key, value) in input.stateDict.elements
      where selection.matches(key, value) && first.stateDict.value(for: key) == nil {
        unexpected.append(.unexpected(key: key, input: input.name))
      }
    }
    return try MergeExecution(self).carryOut(plans, over: first.stateDict, unexpected)
  }
}

/// One of the state dicts that are merged.
public struct MergeInput: Sendable {
  /// The name that errors use for it, such as its file.
  public let name: String
  /// Its tensors.
  public let stateDict: StateDict
  /// Parameter values of this input alone.
  public var settings: MergeSettings
  /// The files that it was read from; equal for two names of one file, empty for what was made here.
  package var identity: Set<File.Identity> = []

  /// A state dict called `name`.
  public init(name: String, stateDict: StateDict, settings: MergeSettings = MergeSettings()) {
    self.name = name
    self.stateDict = stateDict
    self.settings = settings
  }
}
