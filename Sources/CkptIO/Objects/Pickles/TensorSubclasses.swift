internal import CkptPickle
internal import CkptTensors

/// Reads tensors of classes other than PyTorch's own, as pickled by `torch.Tensor.__reduce_ex__`:
/// `_rebuild_from_type_v2(function, class, arguments, state)`, where the state contains the class's
/// data beside or instead of its own elements.
struct TensorSubclasses {
  typealias Ref = PickleGraph.Ref

  let graph: PickleGraph
  /// Returns the plain tensor of an object; nil for other objects.
  let tensor: (Ref) -> Tensor?

  /// The arguments of the call.
  struct Parts {
    let function: Ref
    let cls: Ref
    let arguments: [Ref]
    let state: Ref?
  }

  /// The public properties of such a tensor.
  struct Outer {
    /// The class.
    let className: String
    /// The shape; nil if it is not in the file.
    let shape: [Int]?
    /// The dtype; nil if it is not in the file.
    let dtype: DType?
  }

  /// The arguments of a tensor of a subclass; nil for other objects.
  func parts(of ref: Ref) -> Parts? {
    guard let body = graph.body(of: ref), case .reduce(let callable, let tuple) = body.construction,
      let name = graph.global(callable), name.module.hasPrefix("torch."),
      name.name == "_rebuild_from_type_v2" || name.name == "_rebuild_from_type",
      let items = graph.items(of: tuple).map(Array.init), items.count >= 3
    else { return nil }
    return Parts(
      function: items[0], cls: items[1],
      arguments: graph.items(of: items[2]).map(Array.init) ?? [],
      state: items.count > 3 ? items[3] : nil)
  }

  /// Whether the tensor has no elements of its own, so that its state contains all of them.
  func isWrapper(_ parts: Parts) -> Bool {
    graph.globalName(parts.function) == "torch._utils._rebuild_wrapper_subclass"
  }

  /// Whether the class has data beside the elements: attributes, or the result of its
  /// `__getstate__`.
  func hasState(_ parts: Parts) -> Bool {
    func isNothing(_ ref: Ref) -> Bool {
      if case .none = graph[ref] { return true }
      return graph.entries(of: ref)?.isEmpty == true
    }
    guard let state = parts.state else { return false }
    // The attributes, or a pair of the attributes and the slots.
    if let items = graph.items(of: state) { return !items.allSatisfy(isNothing) }
    return !isNothing(state)
  }

  /// The tensor that contains all elements of a `DTensor`, because it is on one rank or replicated
  /// on each; nil for other tensors.
  func wholeLocalTensor(_ parts: Parts) -> Ref? {
    guard isWrapper(parts), let name = graph.global(parts.cls), name.name == "DTensor",
      name.module.hasPrefix("torch.distributed"), let state = parts.state,
      let outer = outer(parts), let local = member("_local_tensor", of: state),
      let inner = tensor(local), inner.shape == outer.shape,
      inner.dtype == outer.dtype, let spec = member("_spec", of: state)
    else { return nil }
    let attributes = graph.attributes(of: spec)
    func attribute(_ name: String) -> Ref? { attributes.last { graph.text($0.key) == name }?.value }
    if let mesh = attribute("mesh"), rankCount(of: mesh) == 1 { return local }
    guard let placements = attribute("placements").flatMap({ graph.sequence($0) }),
      !placements.isEmpty,
      placements.allSatisfy({ graph.className(of: $0)?.hasSuffix(".Replicate") == true })
    else { return nil }
    return local
  }

  /// The number of ranks of a `DeviceMesh`; nil if it is unknown.
  private func rankCount(of mesh: Ref) -> Int? {
    let attributes = graph.attributes(of: mesh)
    for name in ["_flatten_rank_map", "_rank_map", "mesh", "_mesh"] {
      guard let value = attributes.last(where: { graph.text($0.key) == name })?.value else {
        continue
      }
      if let tensor = tensor(value) { return tensor.elementCount }
      if let items = graph.sequence(value) { return items.count }
    }
    return nil
  }

  /// An attribute in a state, which is a dict or a pair of the attributes and the slots.
  private func member(_ name: String, of state: Ref) -> Ref? {
    for part in graph.items(of: state).map(Array.init) ?? [state] {
      if let value = graph.value(of: name, in: part) { return value }
    }
    return nil
  }

  // MARK: - From outside

  /// The public properties of a tensor that is not plain; nil for objects that are not tensors.
  func outer(of ref: Ref) -> Outer? {
    if let parts = parts(of: ref) { return outer(parts) }
    guard let name = graph.className(of: ref) else { return nil }
    if name.hasPrefix("torch.distributed."), name.hasSuffix(".ShardedTensor") {
      return Outer(className: name, shape: shardedShape(ref), dtype: nil)
    }
    guard name.hasPrefix("torch._utils._rebuild_"), tensor(ref) == nil,
      case .reduce(_, let tuple) = graph.body(of: ref)?.construction,
      let items = graph.items(of: tuple).map(Array.init)
    else { return nil }
    if name.hasPrefix("torch._utils._rebuild_parameter"), let inner = items.first {
      return parts(of: inner).flatMap(outer) ?? Outer(className: name, shape: nil, dtype: nil)
    }
    if name.hasSuffix("._rebuild_sparse_tensor"), items.count == 2,
      let parts = graph.items(of: items[1]).map(Array.init)
    {
      // The arguments are (indices, values, size, …), or (rows, columns, values, size).
      let values = parts.compactMap { tensor($0) }.last
      let shape = parts.lazy.reversed().compactMap { size($0) }.first
      return Outer(className: "sparse", shape: shape, dtype: values?.dtype)
    }
    return Outer(className: name, shape: nil, dtype: nil)
  }

  private func outer(_ parts: Parts) -> Outer? {
    let className = graph.globalName(parts.cls) ?? "a tensor"
    let arguments = parts.arguments
    if isWrapper(parts) {
      // The arguments are (class, dtype, size, stride, storage offset, layout, device,
      // requires_grad).
      guard arguments.count >= 3 else {
        return Outer(className: className, shape: nil, dtype: nil)
      }
      return Outer(
        className: className, shape: size(arguments[2]), dtype: dtype(arguments[1]))
    }
    guard arguments.count >= 3 else {
      return Outer(className: className, shape: nil, dtype: nil)
    }
    // The arguments are (storage, storage offset, size, stride, …).
    return Outer(
      className: className, shape: size(arguments[2]),
      dtype: StorageTable.dtype(ofPersistentID: arguments[0], in: graph)
        ?? (arguments.count > 6 ? dtype(arguments[6]) : nil))
  }

  private func dtype(_ ref: Ref) -> DType? {
    guard let name = graph.global(ref), name.module == "torch" else { return nil }
    return DType(name: name.name)
  }

  /// The sizes in a tuple of ints, or a `torch.Size`.
  private func size(_ ref: Ref) -> [Int]? {
    if graph.className(of: ref) == "torch.Size",
      case .reduce(_, let tuple) = graph.body(of: ref)?.construction,
      let first = graph.items(of: tuple)?.first
    {
      return graph.ints(first)
    }
    return graph.items(of: ref) == nil ? nil : graph.ints(ref)
  }

  /// The shape of a `ShardedTensor`, whose `__getstate__` returns (local shards, metadata, …); the
  /// metadata contains the size.
  private func shardedShape(_ ref: Ref) -> [Int]? {
    for edit in graph.body(of: ref)?.edits ?? [] {
      guard case .build(let state) = edit, let items = graph.items(of: state).map(Array.init),
        items.count > 1,
        let found = graph.attributes(of: items[1]).last(where: { graph.text($0.key) == "size" })
      else { continue }
      return size(found.value)
    }
    return nil
  }
}

extension Checkpoint {
  /// A reader of tensors of subclasses.
  var tensorSubclasses: TensorSubclasses {
    TensorSubclasses(graph: graph, tensor: { tensor(of: $0) })
  }
}
