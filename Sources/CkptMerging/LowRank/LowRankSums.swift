internal import CkptBytes
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptTensors
internal import CkptText

/// Collects the products that an adapter adds to a base's weights, and builds the resulting state
/// dict.
struct LowRankSums {
  /// The base, with the tensors that the adapter stores in full already replaced.
  private(set) var base: StateDict
  let orientation: WeightOrientation
  /// What does not fit, one line each.
  var problems: [String] = []

  private let baseName, adapterName: String
  private let context: MergeContext
  private let names: ModuleNames
  /// Finds the base's weights that are stored in parts (such as quantized ones), to which nothing
  /// can be added.
  private let gate: NumberGate
  /// The weights stored in parts that the adapter refers to.
  private var weightsInParts: [DerivedWeight] = []
  /// The keys of the tensors that share the same elements.
  private var tied: [TensorView: [String]] = [:]
  private var sums: [TensorView: Sum] = [:]
  /// The views of the changed weights, in the order in which they first occur.
  private var order: [TensorView] = []
  /// For error messages: the module that refers to each key, and the full parameter that replaces
  /// it.
  private var moduleOfKey: ExactDictionary<String> = [:]
  private var nameOfReplaced: ExactDictionary<String> = [:]
  private var replacedKeys: [String] = []
  private var replacedViews: Set<TensorView> = []
  /// The precision losses of replaced tensors that are converted to the base's types.
  private var roundings: [(key: String, input: String, tally: ConversionTally)] = []

  /// A weight with the products that are added to it, and what is subtracted from it.
  private struct Sum {
    let key: String
    let rows: Int
    var products: [LowRankProduct] = []
    var change: BaseChange?
    var inputs: [(key: String, tensor: Tensor)] = []
  }

  init(base: StateDict, baseName: String, adapterName: String, context: MergeContext) {
    self.base = base
    self.baseName = baseName
    self.adapterName = adapterName
    self.context = context
    gate = NumberGate(base)
    // The names include weights stored in parts, so that an adapter for one gets a specific error.
    names = ModuleNames(base.keys + gate.plainKeys.filter { base.value(for: $0) == nil })
    orientation = WeightOrientation(base)
    base.forEach { key, value in
      if let tensor = value.tensor, !tensor.view.isEmpty {
        tied[tensor.view, default: []].append(key)
      }
    }
  }

  /// Replaces a parameter of the base with a tensor, converted to the base's element type; with
  /// `andTied`, all parameters that share storage with it. Problems are recorded.
  mutating func replace(_ name: String, by tensor: Tensor, andTied: Bool) throws {
    let found = names.keys(ofParameter: name)
    if found.count == 1, noteParts(of: found[0]) { return }
    guard found.count == 1, let key = found.first, let old = base[key], old.shape == tensor.shape
    else {
      problems.append(
        found.count > 1
          ? "\(name) may be any of \(found.joined(separator: ", "))"
          : "\(name) takes no parameter's place in the base"
            + (found.first.flatMap { base[$0] }.map {
              ", which has \($0.shape), not \(tensor.shape)"
            }
              ?? ""))
      return
    }
    if let other = nameOfReplaced[key] {
      problems.append("\(name) and \(other) are both \(key)")
      return
    }
    nameOfReplaced[key] = name
    let keys = andTied ? tied[old.view] ?? [key] : [key]
    let tally = ConversionTally()
    let new = try tensor.converting(to: old.dtype, countingInto: tally)
    roundings.append((key: name, input: adapterName, tally: tally))
    for key in keys { base[key] = new }
    tied[old.view]?.removeAll(where: keys.contains)
    tied[new.view, default: []] += keys.filter { !(tied[new.view] ?? []).contains($0) }
    replacedKeys += keys.filter { !replacedKeys.contains($0) }
    if andTied { replacedViews.insert(new.view) }
  }

  /// The key in the base of a module's weight.
  ///
  /// - Throws: `Misfit` if there is none or more than one, if the weight is stored in parts, or if
  ///   another module has the same key.
  mutating func key(of module: String) throws -> String {
    let found = names.keys(of: module)
    guard found.count == 1, let key = found.first else {
      throw Misfit(
        text: found.isEmpty
          ? "is no module of the base" : "may be any of \(found.joined(separator: ", "))")
    }
    guard !noteParts(of: key) else { throw Misfit(text: "has a weight that is held in parts") }
    if let other = moduleOfKey[key] {
      throw Misfit(text: "means \(key), as \(other) does")
    }
    moduleOfKey[key] = module
    return key
  }

  /// Whether a key belongs to, or would be, a weight that is stored in parts; if so, the weight is
  /// recorded.
  private mutating func noteParts(of key: String) -> Bool {
    guard let weight = gate.weight(of: key) ?? gate.weight(computing: key) else { return false }
    weightsInParts.append(weight)
    return true
  }

  /// Checks that the adapter refers to no weight that is stored in parts.
  ///
  /// - Throws: `DerivedWeightError.noNumbers` with all such weights.
  func checkParts() throws(DerivedWeightError) {
    guard weightsInParts.isEmpty else {
      throw .noNumbers(operation: "add an adapter to", input: baseName, weightsInParts)
    }
  }

  /// Adds a product to the weight at a key. Tied weights get the products of all their modules, as
  /// peft changes them in place.
  mutating func add(
    _ product: LowRankProduct, to key: String, of module: String, change: BaseChange?,
    inputs: [(key: String, tensor: Tensor)]
  ) {
    guard let weight = base[key] else { return }
    add(product, to: key, weight, rows: weight.shape[0], inputs)
    // For a weight that the file stores in full, the part is subtracted already.
    if let change, !replacedViews.contains(weight.view) {
      if sums[weight.view]?.change != nil {
        problems.append("\(module): init_lora_weights takes parts out of a tied weight twice")
      }
      sums[weight.view]?.change = change
    }
  }

  /// Adds an adapter's bias to the bias beside a weight.
  ///
  /// - Throws: `Misfit` if the base has no bias that fits.
  mutating func addBias(
    _ product: LowRankProduct, beside key: String, inputs: [(key: String, tensor: Tensor)]
  ) throws {
    let name = String(key.dropLast("weight".count)) + "bias"
    guard let bias = base[name], bias.shape == [product.right.shape[1]], bias.dtype.isFloat,
      !bias.dtype.isComplex, !bias.isMeta
    else {
      throw Misfit(text: "lora_bias: the base has no bias that the adapter's could be added to")
    }
    add(product, to: name, bias, rows: 1, inputs)
  }

  private mutating func add(
    _ product: LowRankProduct, to key: String, _ tensor: Tensor, rows: Int,
    _ inputs: [(key: String, tensor: Tensor)]
  ) {
    let view = tensor.view
    if sums[view] == nil {
      sums[view] = Sum(key: key, rows: rows)
      order.append(view)
    }
    sums[view]?.products.append(product)
    sums[view]?.inputs += inputs
  }

  /// The base with the changed weights, computed when they are read.
  func result() throws -> StateDictMerge.Result {
    var result = StateDictMerge.Result(stateDict: base)
    result.merged = replacedKeys
    result.roundings = roundings
    for view in order {
      guard let sum = sums[view], let weight = base[sum.key] else { continue }
      context.add(key: sum.key, input: baseName, weight)
      for (key, tensor) in sum.inputs { context.add(key: key, input: adapterName, tensor) }
      let tally = MergeTally(key: sum.key)
      result.tallies.append(tally)
      let bytes = try LowRankBytes(
        base: weight, rows: sum.rows, products: sum.products, change: sum.change, context: context,
        tally: tally)
      let storage = Storage(.computed(bytes), name: sum.key)
      for key in tied[view] ?? [sum.key] {
        guard let old = base[key] else { continue }
        var tensor = try Tensor(
          storage: storage, dtype: weight.dtype, shape: weight.shape)
        tensor.requiresGrad = old.requiresGrad
        tensor.isParameter = old.isParameter
        result.stateDict[key] = tensor
        if !result.merged.contains(key) { result.merged.append(key) }
      }
    }
    return result
  }
}
