internal import CkptText
internal import CkptPickle
public import CkptPlatform
public import CkptStateDicts
public import CkptTensors

/// The contents of an optimizer's `state_dict()`, with the names of its parameters if they are
/// known.
///
/// PyTorch numbers an optimizer's parameters across all groups; see ``ParameterOrder`` for how
/// names are assigned to numbers.
public struct OptimizerState: Sendable {
  /// A value in the state of a parameter, or an option of a group.
  public struct Entry: Sendable {
    /// The key, such as `momentum_buffer` or `lr`.
    public let key: String
    /// A short description of the value.
    public let summary: String
    /// The tensor; nil for other values.
    public let tensor: Tensor?
  }

  /// A parameter of the optimizer.
  public struct Parameter: Sendable {
    /// The identifier in the optimizer's state: a number or a name.
    public let id: String
    /// The index of its group.
    public let group: Int
    /// The parameter's key in the model's state dict; nil if it is unknown.
    public internal(set) var name: String?
    /// The optimizer's values for the parameter; empty before the first step.
    public let state: [Entry]
    /// The shape, if the state determines it.
    public var shape: [Int]? { OptimizerState.shape(of: state) }
  }

  /// A parameter group.
  public struct Group: Sendable {
    /// The options, such as `lr` and `weight_decay`.
    public let options: [Entry]
    /// The number of parameters.
    public let count: Int
  }

  /// The path of the optimizer's state in the checkpoint.
  public let path: String
  /// The parameter groups, in order.
  public let groups: [Group]
  /// The parameters of all groups, in order.
  public internal(set) var parameters: [Parameter]
  /// How the parameters' names are known.
  public internal(set) var naming: ParameterNaming
  /// Whether the optimizer's state uses names instead of numbers.
  public let isKeyedByName: Bool

  /// The keys of values in PyTorch's optimizers that have the parameter's shape.
  private static let sameShape: Set<String> = [
    "momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "sum", "square_avg",
    "grad_avg", "acc_delta", "mu", "ax", "prev", "step_size", "variance",
  ]

  /// The shape that a parameter's state determines; nil if it does not.
  private static func shape(of state: [Entry]) -> [Int]? {
    let tensors = state.compactMap { entry in entry.tensor.map { (entry.key, $0.shape) } }
    if let known = tensors.first(where: { sameShape.contains($0.0) }) { return known.1 }
    // Adafactor stores the means over the last dimension and over the one before it.
    if let row = tensors.first(where: { $0.0 == "row_var" })?.1,
      let column = tensors.first(where: { $0.0 == "col_var" })?.1, row.count == column.count
    {
      return zip(row, column).map { max($0, $1) }
    }
    let shapes = Set(tensors.map(\.1).filter { !$0.isEmpty })
    return shapes.count == 1 ? shapes.first : nil
  }
}

/// An error in an optimizer's state.
public enum OptimizerError: Diagnostic, Equatable {
  /// The object at a path is not an optimizer's state.
  case notAnOptimizer(file: String, path: String, String)
  /// The parameters' names are unknown, or the given names do not match.
  case names(file: String, path: String, String)
  /// The parameters may belong to several state dicts.
  case unclearOwner(file: String, path: String, paths: [String])

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .notAnOptimizer(let file, let path, _), .names(let file, let path, _),
      .unclearOwner(let file, let path, _):
      ErrorContext(file: file, object: path)
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .notAnOptimizer(let file, let path, let problem),
      .names(let file, let path, let problem):
      "\(problem) (\(file), object \(Text.printable(path)))"
    case .unclearOwner(let file, let path, let paths):
      "the optimizer's parameters may be those of "
        + paths.prefix(8).map(Text.printable).joined(separator: " or ")
        + (paths.count > 8 ? " or \(paths.count - 8) more" : "")
        + " (\(file), object \(Text.printable(path)))"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .unclearOwner(_, let path, _):
      [
        "\(.followOptimizer(path: Text.printable(path))) lets it follow, \(.keepOptimizers) leaves it as it is"
      ]
    case .notAnOptimizer: ["\(.showObjects) prints what is inside"]
    case .names:
      [
        """
        \(.nameParameters) names them: a checkpoint of the model, or a text file with a key a line \
        in the optimizer's order
        """
      ]
    }
  }
}

extension Checkpoint {
  /// The paths of optimizer states, as used for `at`: mappings with `state` and `param_groups`.
  public func optimizerPaths() -> [String] {
    WorkCounters.add(.optimizerSearch)
    var found: [String] = []
    var seen: Set<PickleGraph.Ref> = [graph.root]
    var level: [([String], PickleGraph.Ref)] = [([], graph.root)]
    for _ in 0..<4 {
      var next: [([String], PickleGraph.Ref)] = []
      for (steps, ref) in level {
        if optimizerParts(of: ref) != nil {
          found.append(ObjectPath(steps: steps).written)
          continue
        }
        guard tensor(of: ref) == nil else { continue }
        for (step, child) in graph.children(of: ref) where seen.count < 1_000_000 {
          if graph.body(of: child) != nil, seen.insert(child).inserted {
            next.append((steps + [step], child))
          }
        }
      }
      level = next
    }
    return found
  }

  /// All optimizer states, with the names that the checkpoint itself determines.
  ///
  /// - Throws: `OptimizerError` for invalid states.
  public func optimizerStates() throws -> [OptimizerState] {
    try optimizerPaths().map { try optimizerState(at: $0) }
  }

  /// The optimizer's state at a path, with the parameters' names if they are recorded or can be
  /// inferred.
  ///
  /// - Parameters:
  ///   - model: the model's state dict; nil for the only one in the checkpoint that may contain the
  ///     parameters.
  ///   - names: the parameters' names in the optimizer's order; nil if they are unknown.
  /// - Throws: `OptimizerError` if there is no optimizer's state, or `names` does not match it.
  public func optimizerState(
    at path: String, model: StateDict? = nil, names: [String]? = nil
  ) throws -> OptimizerState {
    var optimizer = try numberedOptimizer(at: path)
    if let names {
      try optimizer.setNames(
        names, model: model ?? stateDictBesideOptimizers(), file: self.path)
    } else if case .unknown = optimizer.naming {
      if let model { return optimizer.named(from: model) }
      let (owner, fitting) = try owner(of: optimizer)
      if let owner { return optimizer.named(from: owner) }
      if fitting.count > 1 {
        optimizer.naming = .unknown(
          reason: "the parameters may be those of "
            + fitting.prefix(8).map(Text.printable).joined(separator: ", ")
            + (fitting.count > 8 ? " and \(fitting.count - 8) more" : ""))
      } else if let model = try stateDictBesideOptimizers() {
        return optimizer.named(from: model)
      }
    }
    return optimizer
  }

  /// The optimizer's state at a path, with only the recorded names.
  func numberedOptimizer(at path: String) throws -> OptimizerState {
    let ref = try resolve(path)
    guard let parts = optimizerParts(of: ref) else {
      throw OptimizerError.notAnOptimizer(
        file: self.path, path: path, "\(summary(of: ref)) is no optimizer's state")
    }
    return try read(parts, path)
  }

  /// The checkpoint's state dict; nil if there is none, or several.
  private func stateDictBesideOptimizers() throws -> StateDict? {
    do {
      return try stateDict()
    } catch is CheckpointError {
      return nil
    }
  }

  /// The objects of an optimizer's state; nil for other objects.
  struct OptimizerParts {
    let state: PickleGraph.Ref
    let groups: [PickleGraph.Ref]
  }

  func optimizerParts(of ref: PickleGraph.Ref) -> OptimizerParts? {
    guard let state = graph.value(of: "state", in: ref), graph.entries(of: state) != nil,
      let list = graph.value(of: "param_groups", in: ref), let groups = graph.sequence(list),
      !groups.isEmpty,
      groups.allSatisfy({ graph.value(of: "params", in: $0).flatMap(graph.sequence) != nil })
    else { return nil }
    return OptimizerParts(state: state, groups: groups)
  }

  /// The identifier of a parameter: its number in decimal, or its name.
  func parameterID(_ ref: PickleGraph.Ref) -> String? {
    graph.text(ref) ?? graph.int(ref).map(String.init)
  }

  private func read(_ parts: OptimizerParts, _ path: String) throws -> OptimizerState {
    func bad(_ problem: String) -> OptimizerError {
      .notAnOptimizer(file: self.path, path: path, problem)
    }
    func entries(of ref: PickleGraph.Ref) -> [OptimizerState.Entry] {
      (graph.entries(of: ref) ?? []).map { key, value in
        OptimizerState.Entry(
          key: graph.step(for: key), summary: summary(of: value),
          tensor: tensor(of: value))
      }
    }
    var states: ExactDictionary<PickleGraph.Ref> = [:]
    for (key, value) in graph.entries(of: parts.state) ?? [] {
      guard let id = parameterID(key) else { throw bad("a key of \"state\" is no number or name") }
      states[id] = value
    }
    var groups: [OptimizerState.Group] = []
    var parameters: [OptimizerState.Parameter] = []
    var seen = ExactSet()
    var isRecorded = true
    var isKeyedByName = false
    for (number, group) in parts.groups.enumerated() {
      let params = graph.value(of: "params", in: group).flatMap(graph.sequence) ?? []
      let names = graph.value(of: "param_names", in: group).flatMap(graph.sequence)?
        .map { graph.text($0) }
      for (index, param) in params.enumerated() {
        guard let id = parameterID(param), seen.insert(id).inserted else {
          throw bad("an item of \"params\" is no number or name, or occurs twice")
        }
        let isName = graph.text(param) != nil
        isKeyedByName = isKeyedByName || isName
        let name = isName ? id : names.flatMap { index < $0.count ? $0[index] : nil }
        isRecorded = isRecorded && name != nil
        parameters.append(
          .init(id: id, group: number, name: name, state: states[id].map(entries) ?? []))
      }
      groups.append(
        .init(
          options: entries(of: group).filter { $0.key != "params" && $0.key != "param_names" },
          count: params.count))
    }
    if !isRecorded { for index in parameters.indices { parameters[index].name = nil } }
    return OptimizerState(
      path: path, groups: groups, parameters: parameters,
      naming: isRecorded ? .recorded : .unknown(reason: "there is no state dict beside it"),
      isKeyedByName: isKeyedByName)
  }
}

extension OptimizerState {
  /// The state with names from a model's state dict, as far as the order of its keys determines
  /// them.
  fileprivate func named(from model: StateDict) -> OptimizerState {
    var result = self
    let orders = groups.map { group in
      ParameterOrder.Group(
        count: group.count,
        weightDecay: group.options.first { $0.key == "weight_decay" }.flatMap {
          Double($0.summary)
        })
    }
    let (names, naming) = ParameterOrder.names(
      groups: orders, shapes: parameters.map(\.shape), in: model)
    result.naming = naming
    if let names {
      for index in names.indices { result.parameters[index].name = names[index] }
    }
    return result
  }

  /// Sets the given names, if they match.
  fileprivate mutating func setNames(_ names: [String], model: StateDict?, file: String) throws {
    guard names.count == parameters.count else {
      throw OptimizerError.names(
        file: file, path: path,
        "\(names.count) names are given for the optimizer's \(parameters.count) parameters")
    }
    for (index, name) in names.enumerated() {
      if let shape = parameters[index].shape, let tensor = model?[name], tensor.shape != shape {
        throw OptimizerError.names(
          file: file, path: path,
          "parameter \(parameters[index].id) has the shape \(shape), "
            + "\(Text.printable(name)) has \(tensor.shape)")
      }
      parameters[index].name = name
    }
    naming = .given
  }
}
