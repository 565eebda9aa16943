internal import CkptText
internal import OrderedCollections
public import CkptTensors

/// The result that PyTorch's `load_state_dict` would give: which keys load, and which do not and
/// why.
public struct LoadReport: Sendable {
  /// A key whose tensor has another dtype than the model's; PyTorch casts it on loading where it
  /// can.
  public struct TypeMismatch: Sendable, Hashable {
    /// The entry's key.
    public let key: String
    /// The model's dtype.
    public let expected: DType
    /// The state dict's dtype.
    public let found: DType
    /// Whether `load_state_dict` cannot copy one to the other.
    public let isRefused: Bool
  }

  /// A key whose value is a tensor of another class on either side, such as a quantized one of
  /// torchao's and a plain one: PyTorch copies elements, and such tensors have others, or none of
  /// their own.
  public struct ClassMismatch: Sendable, Hashable {
    /// The entry's key.
    public let key: String
    /// The class of the model's tensor.
    public let expected: String
    /// The class of the state dict's tensor.
    public let found: String
  }

  /// Keys that share one tensor in the model but not in the state dict.
  public struct BrokenTie: Sendable, Hashable {
    /// The keys that share it.
    public let keys: [String]
    /// Whether their values differ, so that the last one loaded wins; nil if they were not
    /// compared.
    public let valuesDiffer: Bool?
  }

  /// Whether missing and unexpected keys count as errors (`strict=True`).
  public var isStrict: Bool
  /// The keys that load, in the model's order.
  public internal(set) var loaded: [String] = []
  /// Keys of the model that the state dict lacks.
  public internal(set) var missing: [String] = []
  /// Keys of the state dict that the model lacks.
  public internal(set) var unexpected: [String] = []
  /// Keys whose tensors have another shape than the model's.
  public internal(set) var mismatched: [ShapeMismatch] = []
  /// Keys whose values are tensors of another class, of which one keeps more than elements.
  public internal(set) var classMismatched: [ClassMismatch] = []
  /// Keys whose tensors have another dtype than the model's.
  public internal(set) var typeMismatched: [TypeMismatch] = []
  /// Keys that are missing and that PyTorch fills in for an old checkpoint (`num_batches_tracked`).
  public internal(set) var defaulted: [String] = []
  /// Missing keys that share their tensor with one that is loaded.
  public internal(set) var missingButTied: [String] = []
  /// Keys that are tied in the model only.
  public internal(set) var brokenTies: [BrokenTie] = []
  /// The number of the model's elements that are loaded; a tied tensor is counted once.
  public internal(set) var loadedElements = 0
  /// The number of the model's elements.
  public internal(set) var expectedElements = 0

  /// Whether `load_state_dict` would go through without an error.
  public var isLoadable: Bool {
    mismatched.isEmpty && classMismatched.isEmpty && !typeMismatched.contains(where: \.isRefused)
      && (!isStrict || missing.isEmpty && unexpected.isEmpty)
  }

  /// The share of the model's elements that load, from 0 to 1; 1 for a model without elements.
  public var loadedShare: Double {
    expectedElements == 0 ? 1 : Double(loadedElements) / Double(expectedElements)
  }
}

extension StateDict {
  /// Reports what `model.load_state_dict(self)` would do for a model whose own state dict is
  /// `reference`.
  ///
  /// The rules are those of PyTorch 2.15's `Module._load_from_state_dict`: shapes must be equal,
  /// but a tensor of shape [1] goes into a 0-d one; types are cast; a norm layer's
  /// `num_batches_tracked` may be missing where the `_metadata` says version 1 or nothing; weights
  /// of the old `weight_norm` go into the new one. What other classes of modules do on loading is
  /// not known here.
  /// - Parameters:
  ///   - strict: whether missing and unexpected keys are errors.
  ///   - comparesTies: whether to read tensors that are tied in the model only, to see if they
  ///     differ.
  /// - Throws: what reading tensors throws.
  public func validate(
    against reference: StateDict, strict: Bool = true, comparesTies: Bool = false
  ) throws -> LoadReport {
    var report = LoadReport(isStrict: strict)
    let versions = Dictionary(
      (metadata ?? []).map { (ExactText($0.module), $0.version) }, uniquingKeysWith: { $1 })
    var used = Set<ExactText>()
    var views: [TensorView: (elements: Int, isLoaded: Bool)] = [:]
    for (key, expected) in reference.entries {
      var source = key
      if entries[key] == nil, let old = oldWeightNormKey(key) { source = old }
      let found = entries[source]
      var isLoaded = false
      if let found {
        used.insert(source)
        isLoaded = report.compare(key.text, expected: expected, found: found)
      } else if key.isNormCounter, (versions[key.module] ?? nil) ?? 1 < 2 {
        report.defaulted.append(key.text)
      } else {
        report.missing.append(key.text)
      }
      if isLoaded { report.loaded.append(key.text) }
      if let tensor = expected.tensor {
        report.count(tensor, isLoaded, &views)
      }
    }
    report.unexpected = entries.keys.filter { !used.contains($0) }.map(\.text)
    for view in views.values where view.isLoaded {
      report.loadedElements = report.loadedElements &+ view.elements
    }
    let missing = Set(report.missing)
    for tie in reference.ties {
      let present = tie.filter { !missing.contains($0) && entries[ExactText($0)] != nil }
      if !present.isEmpty { report.missingButTied += tie.filter(missing.contains) }
      let own = present.compactMap { self[$0] }
      guard let first = own.first,
        own.contains(where: { $0.view != first.view })
      else { continue }
      let differ =
        comparesTies ? try own.dropFirst().contains { try !$0.hasSameBytes(as: first) } : nil
      report.brokenTies.append(.init(keys: present, valuesDiffer: differ))
    }
    return report
  }

  /// The key under which `torch.nn.utils.weight_norm` stored a value that is now part of a
  /// parametrization; nil for other keys.
  private func oldWeightNormKey(_ key: ExactText) -> ExactText? {
    let parts = key.text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count >= 3, parts[parts.count - 3] == "parametrizations",
      let kind = ["original0": "_g", "original1": "_v"][String(parts[parts.count - 1])]
    else { return nil }
    let stem = (parts.dropLast(3) + [parts[parts.count - 2]]).joined(separator: ".")
    let both = ["_g", "_v"].allSatisfy { entries[ExactText(stem + $0)] != nil }
    return both ? ExactText(stem + kind) : nil
  }
}

extension LoadReport {
  /// Counts a tensor of the model, once for all its ties; on the meta device nothing is tied.
  fileprivate mutating func count(
    _ tensor: Tensor, _ isLoaded: Bool,
    _ views: inout [TensorView: (elements: Int, isLoaded: Bool)]
  ) {
    let view = tensor.view
    let known = view.isEmpty ? nil : views[view]
    if known == nil { expectedElements = expectedElements &+ tensor.elementCount }
    if view.isEmpty {
      if isLoaded { loadedElements = loadedElements &+ tensor.elementCount }
    } else {
      views[view] = (tensor.elementCount, isLoaded || known?.isLoaded == true)
    }
  }

  /// Compares what is no plain tensor on one side at least, as far as the file shows it from
  /// outside.
  private mutating func compareObjects(
    _ key: String, expected: StateDict.Value, found: StateDict.Value
  ) -> Bool {
    let (wanted, given) = (TensorSurface(expected), TensorSurface(found))
    guard let wanted else {
      // A module's extra state takes anything; of other objects only the kind is known.
      return true
    }
    guard let given else {
      mismatched.append(ShapeMismatch(key: key, expected: wanted.shape, found: nil))
      return false
    }
    if let expected = wanted.shape, let found = given.shape, expected != found,
      !(expected.isEmpty && found == [1])
    {
      mismatched.append(ShapeMismatch(key: key, expected: expected, found: found))
      return false
    }
    guard wanted.className == given.className else {
      classMismatched.append(
        ClassMismatch(key: key, expected: wanted.className, found: given.className))
      return false
    }
    if let expected = wanted.dtype, let found = given.dtype, expected != found {
      typeMismatched.append(
        .init(key: key, expected: expected, found: found, isRefused: false))
    }
    return true
  }

  /// Compares one key's values; whether it is loaded.
  fileprivate mutating func compare(
    _ key: String, expected: StateDict.Value, found: StateDict.Value
  ) -> Bool {
    guard let wanted = expected.tensor, let tensor = found.tensor else {
      return compareObjects(key, expected: expected, found: found)
    }
    guard tensor.shape == wanted.shape || wanted.shape.isEmpty && tensor.shape == [1] else {
      mismatched.append(ShapeMismatch(key: key, expected: wanted.shape, found: tensor.shape))
      return false
    }
    guard tensor.dtype != wanted.dtype else { return true }
    let isRefused = (tensor.quantization == nil) != (wanted.quantization == nil)
    typeMismatched.append(
      .init(
        key: key, expected: wanted.dtype, found: tensor.dtype, isRefused: isRefused))
    return !isRefused
  }
}

extension ExactText {
  /// The module that the key stands directly in; empty for the root.
  var module: ExactText { modules.last.map(ExactText.init) ?? self }

  /// Whether it is what norm layers count batches in, since version 2.
  var isNormCounter: Bool {
    text == "num_batches_tracked" || text.hasSuffix(".num_batches_tracked")
  }
}
