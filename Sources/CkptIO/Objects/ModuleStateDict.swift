internal import CkptText
internal import CkptPickle
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptTensors

/// The parts of one module's state dict, from a module that was saved as an object
/// (`torch.save(model)`, `torch.jit.save`).
private struct ModuleParts {
  /// The parameters and then the buffers, with their names in the module.
  var values: [(name: String, ref: PickleGraph.Ref)] = []
  var modules: [(name: String, ref: PickleGraph.Ref)] = []
  /// Whether a hook may change the result of `state_dict()`, which cannot be determined without
  /// running code.
  var hasHooks = false
}

/// The state dict of a module that was saved as an object.
struct ModuleStateDict: Sendable {
  /// The result of `torch.nn.Module.state_dict()`.
  fileprivate(set) var stateDict = StateDict()
  /// The names of the modules whose hooks may change the result; an empty name is the root.
  fileprivate(set) var hooked: [String] = []
}

extension Checkpoint {
  /// The maximum nesting depth. PyTorch cannot save deeper modules, because its `state_dict()` is
  /// recursive.
  private static let moduleDepthLimit = 1000
  /// The maximum number of modules; a module with several names is counted for each.
  private static let moduleLimit = 100_000
  /// The maximum total size of the keys in bytes.
  private static let moduleKeyLimit = 64 << 20

  /// Whether an object is a module that was saved as an object, so that it is not a state dict but
  /// has one.
  func isModule(_ ref: PickleGraph.Ref) -> Bool {
    if document.format == .torchScript { return graph.entries(of: ref) == nil }
    return moduleState(of: ref) != nil
  }

  /// Whether the object at a path has a state dict but cannot be the root of a file: it is a module
  /// that was saved as an object, or a mapping whose class would be needed to open the file.
  ///
  /// - Throws: `CheckpointError` if there is no object at the path.
  public func needsPlainDict(at path: String) throws -> Bool {
    let ref = try resolve(path)
    if isModule(ref) { return true }
    guard let entries = graph.entries(of: ref),
      entries.allSatisfy({ graph.text($0.key) != nil })
    else { return false }
    if case .dict? = graph.body(of: ref)?.construction { return false }
    return graph.className(of: ref) != "collections.OrderedDict"
  }

  /// The names of the modules at `path` and below whose hooks may change the result of
  /// `state_dict()`; empty if there is no module.
  ///
  /// - Throws: `CheckpointError` if there is no state dict at the path.
  public func hookedModules(at path: String) throws -> [String] {
    let ref = try resolve(path)
    return isModule(ref) ? try moduleStateDict(ref, at: path).hooked : []
  }

  /// The state dict of a module: its parameters and persistent buffers, then those of its
  /// submodules, in the order of `torch.nn.Module._save_to_state_dict`. A module with two names has
  /// its keys under both.
  ///
  /// - Throws: `CheckpointError.badObject` if modules are nested too deeply or contain themselves,
  ///   or a class saves other values.
  func moduleStateDict(_ root: PickleGraph.Ref, at path: String) throws -> ModuleStateDict {
    func bad(_ name: String, _ problem: String) -> CheckpointError {
      let shown = name.isEmpty ? "the module" : "the module \(Text.quoted(name))"
      return .badObject(file: self.path, path: path, "\(shown) \(problem)")
    }
    var result = ModuleStateDict()
    var metadata: [StateDict.ModuleMetadata] = []
    var open: [(name: String, depth: Int, ref: PickleGraph.Ref)] = [("", 0, root)]
    var (count, byteCount) = (0, 0)
    // A module with several names is read once.
    var known: [PickleGraph.Ref: (parts: ModuleParts, version: Int?)] = [:]
    func look(_ ref: PickleGraph.Ref, _ name: String) throws -> (parts: ModuleParts, version: Int?)
    {
      if let found = known[ref] { return found }
      guard let parts = moduleParts(of: ref) else {
        throw bad(name, "is \(summary(of: ref)), whose parameters the file does not tell")
      }
      if let cls = graph.className(of: ref), Self.savesOtherValues(cls) {
        throw bad(name, "is a \(Text.printable(cls)), which saves values that it computes")
      }
      let found = (parts, moduleVersion(of: ref, parts.values.map(\.name)))
      known[ref] = found
      return found
    }
    while let (name, depth, ref) = open.popLast() {
      count += 1
      byteCount += name.utf8.count
      guard depth <= Self.moduleDepthLimit, count <= Self.moduleLimit,
        byteCount <= Self.moduleKeyLimit
      else {
        throw bad("", "holds itself, or more modules or deeper ones than can be looked into")
      }
      let (parts, version) = try look(ref, name)
      let prefix = name.isEmpty ? "" : name + "."
      for (own, value) in parts.values {
        byteCount += prefix.utf8.count + own.utf8.count
        guard byteCount <= Self.moduleKeyLimit else {
          throw bad("", "has names that are too long together")
        }
        result.stateDict.setValue(detached(value), for: prefix + own)
      }
      if parts.hasHooks { result.hooked.append(name) }
      if let version {
        let value = OpaqueObject(summary: "dict of 1")
        metadata.append(.init(module: name, value: value, version: version))
      }
      open += parts.modules.reversed().map { (prefix + $0.name, depth + 1, $0.ref) }
    }
    if document.format != .torchScript { result.stateDict.metadata = metadata }
    return result
  }

  /// A parameter's value in a state dict, where `detach()` returns its underlying tensor.
  private func detached(_ ref: PickleGraph.Ref) -> StateDict.Value {
    if document.format == .torchScript, var tensor = tensor(of: ref), tensor.requiresGrad {
      // This tensor is not an object of the file.
      tensor.requiresGrad = false
      return .tensor(tensor)
    }
    guard let tensor = tensor(of: ref), tensor.isParameter,
      let inner = graph.making(of: ref)?.argument(0), self.tensor(of: inner) != nil
    else { return value(ref) }
    return value(inner)
  }

  // MARK: - One module

  private func moduleParts(of ref: PickleGraph.Ref) -> ModuleParts? {
    if document.format == .torchScript { return scriptParts(of: ref) }
    guard let state = moduleState(of: ref) else { return nil }
    func part(_ name: String) -> PickleGraph.Ref? {
      state.last { graph.text($0.key)?.isExactly(name) == true }?.value
    }
    func named(_ list: String) -> [(name: String, ref: PickleGraph.Ref)]? {
      guard let entries = part(list).flatMap(graph.entries) else { return nil }
      var found: [(name: String, ref: PickleGraph.Ref)] = []
      for (key, value) in entries {
        guard let name = graph.text(key) else { return nil }
        if case .none = graph[value], tensor(of: value) == nil { continue }
        found.append((name, value))
      }
      return found
    }
    guard let parameters = named("_parameters"), let buffers = named("_buffers"),
      let modules = named("_modules")
    else { return nil }
    var passing: Set<ExactText> = []
    if let set = part("_non_persistent_buffers_set") {
      guard let members = graph.members(of: set) ?? graph.sequence(set) else { return nil }
      passing = Set(members.compactMap { graph.text($0).map(ExactText.init) })
    }
    var parts = ModuleParts()
    parts.values = parameters + buffers.filter { !passing.contains(ExactText($0.name)) }
    parts.modules = modules
    parts.hasHooks = ["_state_dict_hooks", "_state_dict_pre_hooks"].contains { name in
      part(name).flatMap(graph.entries)?.isEmpty == false
    }
    return parts
  }

  /// The attributes of a `torch.nn.Module`: its state, or for a `torch.fx.GraphModule` the dict
  /// from which it is rebuilt; nil for other objects.
  private func moduleState(
    of ref: PickleGraph.Ref
  ) -> [(key: PickleGraph.Ref, value: PickleGraph.Ref)]? {
    guard let body = graph.body(of: ref) else { return nil }
    var state: [(key: PickleGraph.Ref, value: PickleGraph.Ref)] = []
    if body.edits.contains(where: { if case .build = $0 { true } else { false } }) {
      state = graph.attributes(of: ref)
    } else if case .reduce(let callable, _) = body.construction,
      let name = graph.globalName(callable), name.hasPrefix("torch.fx.graph_module.reduce_"),
      let first = graph.making(of: ref)?.argument(0)
    {
      state = graph.entries(of: first) ?? []
    }
    let holdsAll = ["_parameters", "_buffers", "_modules"].allSatisfy { name in
      state.contains {
        graph.text($0.key) == name && graph.entries(of: $0.value) != nil
      }
    }
    return holdsAll ? state : nil
  }

  /// The tensors and submodules of a TorchScript module, which are its attributes.
  private func scriptParts(of ref: PickleGraph.Ref) -> ModuleParts? {
    var parts = ModuleParts()
    for (key, child) in graph.attributes(of: ref) {
      guard let name = graph.text(key) else { continue }
      if tensor(of: child) != nil {
        parts.values.append((name, child))
      } else if graph.className(of: child)?.hasPrefix("__torch__.") == true {
        parts.modules.append((name, child))
      }
    }
    return parts
  }

  /// The version that PyTorch records for its own modules (`torch.nn.Module._version`): 2 for
  /// normalizations since they count batches. Nil for other classes, whose version is in their
  /// code.
  private func moduleVersion(of ref: PickleGraph.Ref, _ names: [String]) -> Int? {
    guard let cls = graph.className(of: ref), cls.hasPrefix("torch.nn.") else { return nil }
    let others = ["torch.nn.quantized", "torch.nn.qat", "torch.nn.intrinsic"]
    guard !others.contains(where: cls.hasPrefix) else { return nil }
    if cls.hasPrefix("torch.nn.modules.batchnorm.") {
      return names.contains("running_mean") && !names.contains("num_batches_tracked") ? 1 : 2
    }
    return cls.hasPrefix("torch.nn.modules.instancenorm.") ? 2 : 1
  }

  /// Whether a class of PyTorch saves other values than its parameters and buffers
  /// (`_save_to_state_dict` of the quantized modules).
  private static func savesOtherValues(_ cls: String) -> Bool {
    [
      "torch.ao.nn.quantized.", "torch.nn.quantized.", "torch.ao.nn.sparse.",
      "torch.ao.nn.intrinsic.quantized.", "torch.nn.intrinsic.quantized.",
      "torch.ao.quantization.fake_quantize.", "torch.quantization.fake_quantize.",
    ].contains(where: cls.hasPrefix)
  }
}
