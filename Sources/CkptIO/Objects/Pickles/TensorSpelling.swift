internal import CkptPickle
internal import CkptBytes
internal import CkptTensors

extension Checkpoint {
  /// The checkpoint with the objects that PyTorch would save for tensors that were not in a pickle,
  /// such as those of a safetensors file. Until an archive is written, there is a None in their
  /// place.
  func spelledOut() throws -> Checkpoint {
    guard addedTensors.count > 0 || document.tensors.count > 0 else { return self }
    var waiting: [PickleGraph.Ref] = []
    try graph.walk(from: graph.root) { ref in
      if isWaiting(ref) { waiting.append(ref) }
      return true
    }
    guard !waiting.isEmpty else { return self }
    var speller = TensorSpeller(self)
    for ref in waiting {
      guard let tensor = tensor(of: ref) else { continue }
      speller.spell(tensor, at: ref)
    }
    return speller.checkpoint
  }

  /// Whether an object is a None in place of a tensor.
  func isWaiting(_ ref: PickleGraph.Ref) -> Bool {
    if case .none = graph[ref] { tensor(of: ref) != nil } else { false }
  }
}

/// Adds tensors to a checkpoint's graph in the form in which PyTorch saves them.
///
/// Objects that exist once in Python, and objects that a pickle repeats, are added once.
private struct TensorSpeller {
  typealias Ref = PickleGraph.Ref

  private(set) var checkpoint: Checkpoint
  private let none: Ref
  private let flags: (no: Ref, yes: Ref)
  private let nothing: Ref
  private let hooks: Ref
  private let texts: (storage: Ref, key: Ref, position: Ref)
  private var ints: [Int: Ref] = [:]

  /// The maximum number of ints that are reused.
  private static let intLimit = 10_000

  init(_ checkpoint: Checkpoint) {
    var own = checkpoint
    none = own.graph.add(.none)
    flags = (own.graph.addBool(false), own.graph.addBool(true))
    nothing = own.graph.addTuple([])
    hooks = own.global("collections", "OrderedDict")
    texts = (
      own.graph.addString("storage"), own.graph.addString("new"), own.graph.addString("cpu")
    )
    self.checkpoint = own
  }

  /// Replaces the object `ref` by a tensor.
  mutating func spell(_ tensor: Tensor, at ref: Ref) {
    let made = add(tensor)
    checkpoint.graph.replace(ref, with: checkpoint.graph[made])
  }

  private func bool(_ value: Bool) -> Ref { value ? flags.yes : flags.no }

  private mutating func int(_ value: Int) -> Ref {
    if let known = ints[value] { return known }
    let ref = checkpoint.graph.addInt(value)
    if ints.count < Self.intLimit { ints[value] = ref }
    return ref
  }

  private mutating func tuple(_ values: [Int]) -> Ref {
    let items = values.map { int($0) }
    return checkpoint.graph.addTuple(items)
  }

  private mutating func noHooks() -> Ref {
    checkpoint.graph.addObject(.reduce(callable: hooks, arguments: nothing))
  }

  private mutating func call(_ module: String, _ name: String, _ arguments: [Ref]) -> Ref {
    let callable = checkpoint.global(module, name)
    let tuple = checkpoint.graph.addTuple(arguments)
    return checkpoint.graph.addObject(.reduce(callable: callable, arguments: tuple))
  }

  private mutating func add(_ tensor: Tensor) -> Ref {
    let grad = bool(tensor.requiresGrad && !tensor.isParameter)
    let made: Ref
    if tensor.isMeta {
      made = call(
        "torch._utils", "_rebuild_meta_tensor_no_storage",
        [
          checkpoint.global("torch", tensor.dtype.name), tuple(tensor.shape),
          tuple(tensor.strides), grad,
        ])
    } else {
      let typed = StorageTable.dtypes.first { $0.value == tensor.dtype }?.key
      let basic = [
        persistentID(tensor, typed), int(tensor.offset), tuple(tensor.shape), tuple(tensor.strides),
      ]
      if let quantization = tensor.quantization {
        let parameters = add(quantization)
        made = call("torch._utils", "_rebuild_qtensor", basic + [parameters, grad, noHooks()])
      } else {
        var arguments = basic + [grad, noHooks()]
        if typed == nil { arguments.append(checkpoint.global("torch", tensor.dtype.name)) }
        var edits: [PickleGraph.Edit] = []
        for (name, isSet) in [("conj", tensor.isConjugate), ("neg", tensor.isNegative)] where isSet
        {
          edits.append(.setItem(key: checkpoint.graph.addString(name), value: bool(true)))
        }
        if !edits.isEmpty { arguments.append(checkpoint.graph.addObject(.dict, edits: edits)) }
        made = call(
          "torch._utils", typed == nil ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2", arguments)
      }
    }
    guard tensor.isParameter else { return made }
    let requires = bool(tensor.requiresGrad)
    return call("torch._utils", "_rebuild_parameter", [made, requires, noHooks()])
  }

  private mutating func persistentID(_ tensor: Tensor, _ typed: String?) -> Ref {
    let cls =
      typed.map { checkpoint.global("torch", $0) }
      ?? checkpoint.global("torch.storage", "UntypedStorage")
    let count =
      typed == nil
      ? tensor.storage.byteCount
      : tensor.storage.byteCount / tensor.dtype.byteCount * tensor.dtype.elementsPerByte
    let items = [texts.storage, cls, texts.key, texts.position, int(count)]
    let tuple = checkpoint.graph.addTuple(items)
    let id = checkpoint.graph.add(.persistentID(tuple))
    checkpoint.addedStorages[id.index] = tensor.storage
    return id
  }

  private mutating func addPerChannel(
    _ scheme: String, _ axis: Int, _ scales: Tensor?, _ zeroPoints: Tensor?
  ) -> Ref {
    let parts = [scales, zeroPoints].map { part in part.map { add($0) } ?? none }
    let items = [checkpoint.global("torch", scheme)] + parts + [int(axis)]
    return checkpoint.graph.addTuple(items)
  }

  private mutating func add(_ quantization: Quantization) -> Ref {
    switch quantization {
    case .perTensor(let scale, let zeroPoint):
      let items = [
        checkpoint.global("torch", "per_tensor_affine"),
        checkpoint.graph.add(.float(scale.bitPattern)), int(zeroPoint),
      ]
      return checkpoint.graph.addTuple(items)
    case .perChannel(let axis, let scales, let zeroPoints):
      // The reader has checked that they are integers.
      let whole = zeroPoints.map { Int64(saturating: $0) }
      return addPerChannel(
        "per_channel_affine", axis, try? Tensor(scales, shape: [scales.count]),
        try? Tensor(whole, shape: [whole.count]))
    case .perChannelFloat(let axis, let scales, let zeroPoints):
      return addPerChannel(
        "per_channel_affine_float_qparams", axis,
        try? Tensor(scales.map { Float($0) }, shape: [scales.count]),
        try? Tensor(zeroPoints.map { Float($0) }, shape: [zeroPoints.count]))
    }
  }
}
