internal import CkptText
internal import CkptPickle
internal import CkptPlatform
internal import CkptTensors

/// The contents of a rank's `*_model_states.pt`: buffers, frozen parameters, and the names and
/// shapes of the parameters that are flattened in the optimizers' states.
struct DeepSpeedModelState {
  typealias Ref = PickleGraph.Ref

  /// A parameter's name and shape.
  struct Parameter {
    let name: String
    let shape: [Int]
  }

  private(set) var buffers: [(name: String, tensor: Tensor)] = []
  /// The parameters of each optimizer group, in the order of the flattened data.
  private(set) var groups: [[Parameter]] = []
  private(set) var frozen: [Parameter] = []
  /// The frozen parameters, or this rank's parts of them.
  private(set) var frozenTensors: ExactDictionary<Tensor> = [:]
  /// The names of shared parameters, each with the name of the parameter it is the same as.
  private(set) var shared: [(name: String, source: String)] = []

  init(_ document: CheckpointDocument) throws {
    let reader = DeepSpeedObjects(document)
    let graph = document.graph
    let root = graph.root
    guard let names = graph.value(of: "buffer_names", in: root).flatMap(graph.sequence),
      let module = graph.value(of: "module", in: root).flatMap(graph.entries),
      let shapes = graph.value(of: "param_shapes", in: root).flatMap(graph.sequence),
      let same = graph.value(of: "shared_params", in: root).flatMap(graph.entries)
    else {
      throw reader.bad("/", "lacks buffer_names, module, param_shapes or shared_params")
    }
    if graph.value(of: "ds_autoep_layers", in: root) != nil
      || graph.value(of: "autoep_layers", in: root) != nil
    {
      throw reader.bad("ds_autoep_layers", "experts that are spread over ranks are not supported")
    }
    let bufferNames = Set(names.compactMap { graph.text($0).map(ExactText.init) })
    for (key, value) in module {
      guard let name = graph.text(key), bufferNames.contains(ExactText(name)) else { continue }
      guard let tensor = document.tensors[value.index] else {
        throw reader.bad("module/\(ObjectPath.escaped(name))", "a buffer that is no tensor")
      }
      buffers.append((name, tensor))
    }
    groups = try shapes.map { try reader.parameters($0, "param_shapes") }
    if let frozen = graph.value(of: "frozen_param_shapes", in: root),
      let parts = graph.value(of: "frozen_param_fragments", in: root),
      let entries = graph.entries(of: frozen), !entries.isEmpty
    {
      guard let fragments = graph.entries(of: parts) else {
        throw reader.bad("frozen_param_fragments", "is no dict")
      }
      self.frozen = try reader.parameters(frozen, "frozen_param_shapes")
      for (key, value) in fragments {
        if let name = graph.text(key), let tensor = document.tensors[value.index] {
          frozenTensors[name] = tensor
        }
      }
    }
    for (key, value) in same {
      guard let name = graph.text(key), let source = graph.text(value) else {
        throw reader.bad("shared_params", "a name that is no text")
      }
      shared.append((name, source))
    }
  }
}

/// The contents of a rank's `*_optim_states.pt`: the ZeRO stage, the number of ranks, and this
/// rank's part of the parameters in float32, one flat tensor per group.
struct DeepSpeedOptimizerState {
  let stage: Int
  let rankCount: Int
  private(set) var flatGroups: [Tensor] = []
  /// The number of padding elements after each parameter of each group; nil if there is no padding.
  private(set) var paddings: [[Int]]?

  init(_ document: CheckpointDocument) throws {
    let reader = DeepSpeedObjects(document)
    let graph = document.graph
    guard let state = graph.value(of: "optimizer_state_dict", in: graph.root),
      let stageObject = graph.value(of: "zero_stage", in: state),
      let counts = graph.value(of: "partition_count", in: state)
    else { throw reader.bad("optimizer_state_dict", "is no checkpoint of ZeRO") }
    guard let stage = reader.number(stageObject), (0...3).contains(stage) else {
      throw reader.bad("optimizer_state_dict/zero_stage", "an unknown stage of ZeRO")
    }
    // Experts may be distributed to fewer ranks than other parameters.
    guard let count = graph.int(counts) ?? graph.ints(counts)?.max(), count > 0 else {
      throw reader.bad("optimizer_state_dict/partition_count", "an unknown number of ranks")
    }
    (self.stage, rankCount) = (stage, count)
    let key = stage == 3 ? "fp32_flat_groups" : "single_partition_of_fp32_groups"
    guard let groups = graph.value(of: key, in: state).flatMap(graph.sequence) else {
      throw reader.bad("optimizer_state_dict/\(key)", "is not there")
    }
    for group in groups {
      guard let tensor = document.tensors[group.index], tensor.shape.count == 1,
        tensor.isContiguous, tensor.dtype == .float32
      else {
        throw reader.bad(
          "optimizer_state_dict/\(key)", "a group that is no run of 32-bit floats")
      }
      flatGroups.append(tensor)
    }
    guard let padded = graph.value(of: "param_alignment_paddings", in: state),
      let lists = graph.sequence(padded)
    else { return }
    paddings = try lists.map { list in
      guard let counts = graph.ints(list), counts.allSatisfy({ $0 >= 0 }) else {
        throw reader.bad("optimizer_state_dict/param_alignment_paddings", "makes no sense")
      }
      return counts
    }
  }
}

/// Reads DeepSpeed's objects as data.
private struct DeepSpeedObjects {
  typealias Ref = PickleGraph.Ref

  private let graph: PickleGraph
  private let file: String

  init(_ document: CheckpointDocument) {
    graph = document.graph
    file = document.path
  }

  func bad(_ path: String, _ problem: String) -> CheckpointError {
    .badObject(file: file, path: path, problem)
  }

  /// The value of an int or of an enumeration case.
  func number(_ ref: Ref) -> Int? {
    if let plain = graph.int(ref) { return plain }
    guard case .reduce(_, let arguments)? = graph.body(of: ref)?.construction,
      let items = graph.items(of: arguments), items.count == 1, let only = items.first
    else { return nil }
    return graph.int(only)
  }

  /// The names and shapes in a dict.
  func parameters(_ ref: Ref, _ position: String) throws -> [DeepSpeedModelState.Parameter] {
    guard let entries = graph.entries(of: ref) else { throw bad(position, "is no dict") }
    return try entries.map { key, value in
      guard let name = graph.text(key), let shape = shape(value),
        shape.allSatisfy({ $0 >= 0 })
      else { throw bad(position, "a shape that makes no sense") }
      return .init(name: name, shape: shape)
    }
  }

  private func shape(_ ref: Ref) -> [Int]? {
    if let plain = graph.ints(ref) { return plain }
    guard graph.className(of: ref) == "torch.Size",
      case .reduce(_, let arguments)? = graph.body(of: ref)?.construction,
      let items = graph.items(of: arguments), items.count == 1, let only = items.first
    else { return nil }
    return graph.ints(only)
  }
}
