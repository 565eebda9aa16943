public import CkptPlatform
public import CkptStateDicts
public import CkptTensors

/// A merge of several state dicts; tensors are computed in blocks when the result is read or
/// written.
///
/// ```swift
/// let inputs = try [base, math, code].map {
///   MergeInput(name: $0, stateDict: try Checkpoint(contentsOf: $0).stateDict())
/// }
/// let merge = try StateDictMerge(
///   inputs, by: .ties(base: 0, weights: [0.7, 0.3], densities: [0.5]))
/// let merged = try merge.merged().stateDict
/// ```
public struct StateDictMerge: Sendable {
  /// The merge method applied to every tensor.
  public var method: MergeMethod
  /// The inputs, in order.
  public var inputs: [MergeInput]
  /// The index in `inputs` of the base model, for methods that use one.
  public var base: Int?
  /// The parameter settings shared by all inputs. An input's own settings take precedence.
  public var settings = MergeSettings()
  /// The keys that are merged; all other keys keep the first input's value. An empty selection
  /// matches every key.
  public var selection = KeySelection()
  /// The module whose numbered children are the layers, such as `model.layers`; used to interpolate
  /// parameter values over the layers. If nil, the numbered module with the most keys is used.
  public var layers: String?
  /// The seed of methods that draw random numbers.
  public var seed: UInt64 = 0
  /// Whether values that cannot be merged (quantized tensors, tensor subclasses, other objects)
  /// keep the first input's value where the inputs differ. If false, such a difference is an error.
  public var keepsUnmergeable = false
  /// Whether NaN is allowed in the inputs and in the result. If false, it is an error, also where
  /// infinities produce it.
  public var keepsNaN = false
  /// The dtype of the merged tensors; nil for that of the base, or of the first input.
  public var dtype: DType?
  /// Stops the passes over the inputs that come before the output is written.
  public var cancellation = Cancellation()

  /// Creates a merge of `inputs` by `method`, with default settings; `base` is an index in
  /// `inputs`.
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
    /// The first input with its merged tensors replaced. Their elements are computed when they are
    /// read.
    public var stateDict: StateDict
    /// The keys whose tensors are merged.
    public var merged: [String] = []
    /// The selected keys that keep the first input's value because they are not merged.
    public var copied: [String] = []
    /// Weights that are computed from several stored parts (such as a weight normalization's),
    /// whose parts were merged one by one.
    public var partwise: [DerivedWeight] = []
    /// The copied keys for which another input has a different value.
    public var differing: [KeptValue] = []
    /// The copied keys whose values were not compared: objects without tensors.
    public var notCompared: [String] = []
    /// Output heads that a model lacks because it ties them to its embedding; the embedding was
    /// merged in their place.
    public var tiedHeads: [TiedHead] = []
    /// For each merged tensor, the precision losses, counted while it is read.
    public var tallies: [MergeTally] = []
    /// The precision losses of inputs that are rounded to another type before they are merged.
    public var roundings: [(key: String, input: String, tally: ConversionTally)] = []
    /// The groups of keys that shared storage in the first input and no longer do in the result.
    public var brokenTies: [[String]] = []

    /// A result without merged keys.
    public init(stateDict: StateDict) { self.stateDict = stateDict }
  }

  /// Plans the merge. No merged element is computed before the result's tensors are read; values
  /// that are copied are compared.
  ///
  /// - Throws: `MergeError.cannotMerge` with all mismatches of keys, shapes, and types;
  ///   `.wrongInputs` if there are no inputs, too few or too many, or no base for the method;
  ///   `.badParameter` for missing or invalid parameters; `.unmergeable` for differing values that
  ///   cannot be merged; `DerivedWeightError.noNumbers` if parts of a weight would be merged that
  ///   are no numbers by themselves, such as quantization codes; what reading the inputs throws.
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

/// One input of a merge: a state dict with a name and settings of its own.
public struct MergeInput: Sendable {
  /// The name that errors use for it, such as its file.
  public let name: String
  /// The input's keys and values.
  public let stateDict: StateDict
  /// Parameter values of this input alone.
  public var settings: MergeSettings
  /// The files that it was read from; equal for two names of one file, empty for what was made
  /// here.
  package var identity: Set<File.Identity> = []

  /// Creates an input from `stateDict` with the given name and settings.
  public init(name: String, stateDict: StateDict, settings: MergeSettings = MergeSettings()) {
    self.name = name
    self.stateDict = stateDict
    self.settings = settings
  }
}
