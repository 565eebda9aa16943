internal import CkptBytes
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptTensors

/// The sums of a base's weights and an adapter's products, on the way to a state dict.
struct LowRankSums {
  /// The base, with the tensors that the adapter holds whole.
  private(set) var base: StateDict
  let orientation: WeightOrientation
  var problems: [String] = []

  private let baseName, adapterName: String
  private let context: MergeContext
  private let names: ModuleNames
  /// Knows the base's weights that are held in parts, which nothing can be added to.
  private let gate: NumberGate
  /// Those of them that the adapter means.
  private var weightsInParts: [DerivedWeight] = []
  /// The keys whose tensors look at the same elements.
  private var tied: [TensorView: [String]] = [:]
  private var sums: [TensorView: Sum] = [:]
  /// What is summed up, in the order in which it occurs.
  private var order: [TensorView] = []
  /// The module that means a key, and the whole tensor that does, for errors.
  private var moduleOfKey: [String: String] = [:]
  private var nameOfReplaced: [String: String] = [:]
  private var replacedKeys: [String] = []
  private var replacedViews: Set<TensorView> = []
  /// What tensors that the adapter holds whole lose in the base's dtypes.
  private var roundings: [(key: String, input: String, tally: ConversionTally)] = []

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
    // An adapter's module may be one whose weight is in parts; it is found to be refused by name.
    names = ModuleNames(base.keys + gate.plainKeys.filter { base.value(for: $0) == nil })
    orientation = WeightOrientation(base)
    base.forEach { key, value in
      if let tensor = value.tensor, !tensor.view.isEmpty {
        tied[tensor.view, default: []].append(key)
      }
    }
  }

  /// Lets a tensor take a parameter's place, and that of parameters tied to it, if they share it with it.
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

  /// The key of a module's weight.
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

  /// Whether a key is, or would be, that of a weight that is held in parts; such a weight is remembered.
  private mutating func noteParts(of key: String) -> Bool {
    guard let weight = gate.weight(of: key) ?? gate.weight(computing: key) else { return false }
    weightsInParts.append(weight)
    return true
  }

  /// Lets the adapter pass if it means no weight that is held in parts.
  ///
  /// - Throws: `DerivedWeightError.noNumbers`.
  func checkParts() throws(DerivedWeightError) {
    guard weightsInParts.isEmpty else {
      throw .noNumbers(operation: "add an adapter to", input: baseName, weightsInParts)
    }
  }

  /// Adds a product to the weight at a key. Tied weights, which peft changes in place, have the products of all.
  mutating func add(
    _ product: LowRankProduct, to key: String, of module: String, change: BaseChange?,
    inputs: [(key: String, tensor: Tensor)]
  ) {
    guard let weight = base[key] else { return }
    add(product, to: key, weight, rows: weight.shape[0], inputs)
    // A weight that the file holds whole is what was left.
    if let change, !replacedViews.contains(weight.view) {
      if sums[weight.view]?.change != nil {
        problems.append("\(module): init_lora_weights takes parts out of a tied weight twice")
      }
      sums[weight.view]?.change = change
    }
  }

  /// Adds what an adapter's bias has to the bias beside a weight.
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

  /// The base with the sums in their places.
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
