internal import CkptText
internal import CkptPickle
internal import CkptStateDicts

/// The changes of an optimizer's state.
public struct OptimizerEdit: Sendable, Hashable {
  /// The path of the optimizer's state.
  public let path: String
  /// The number of parameters that are kept.
  public let kept: Int
  /// The names of the parameters that were removed.
  public let removed: [String]
  /// The names of the parameters that were kept without their state.
  public let cleared: [String]
  /// The names that changed in what the optimizer records.
  public let renamed: [Rename]

  /// A name that changed.
  public struct Rename: Sendable, Hashable {
    /// What the parameter was called.
    public let old: String
    /// What it is called now.
    public let new: String
  }
}

extension OptimizerState {
  /// What is done with one parameter.
  public enum Change: Sendable, Hashable {
    /// It stays, under this name.
    case keep(as: String)
    /// It stays, and the optimizer forgets what it kept for it, as if it had not been stepped.
    case clear
    /// It goes, and those behind it get lower numbers.
    case remove
  }
}

extension Checkpoint {
  /// Changes an optimizer's state parameter by parameter; those that stay are numbered anew from 0.
  ///
  /// A group that loses all its parameters stays, since `load_state_dict` wants the same number of groups.
  /// - Parameters:
  ///   - optimizer: as ``optimizerState(at:model:names:)`` gave it.
  ///   - change: what is to become of the parameter of a name.
  /// - Throws: `OptimizerError.names` if the parameters' names are not known.
  @discardableResult
  public mutating func editOptimizer(
    _ optimizer: OptimizerState, _ change: (_ name: String) throws -> OptimizerState.Change
  ) throws -> OptimizerEdit {
    let ref = try resolve(optimizer.path)
    guard let parts = optimizerParts(of: ref) else {
      throw OptimizerError.notAnOptimizer(
        file: path, path: optimizer.path, "\(summary(of: ref)) is no optimizer's state")
    }
    if case .unknown(let reason) = optimizer.naming {
      throw OptimizerError.names(
        file: path, path: optimizer.path,
        "the names of the optimizer's parameters are not known: \(reason)")
    }
    // For each parameter that stays, by what it is called now: its new number or name.
    var ids: [String: PickleGraph.Ref] = [:]
    var names: [String: String] = [:]
    var cleared = Set<String>()
    var edit = (
      kept: 0, removed: [String](), cleared: [String](), renamed: [OptimizerEdit.Rename]()
    )
    for parameter in optimizer.parameters {
      guard let name = parameter.name else { continue }
      var new = name
      switch try change(name) {
      case .remove:
        edit.removed.append(name)
        continue
      case .clear:
        edit.cleared.append(name)
        cleared.insert(parameter.id)
      case .keep(let wanted):
        if !wanted.isExactly(name) {
          edit.renamed.append(.init(old: name, new: wanted))
        }
        new = wanted
      }
      ids[parameter.id] = optimizer.isKeyedByName ? graph.addString(new) : graph.addInt(edit.kept)
      names[parameter.id] = new
      edit.kept += 1
    }
    for group in parts.groups { try renumber(group, at: optimizer.path, ids, names) }
    let kept = (graph.entries(of: parts.state) ?? []).compactMap { key, value in
      parameterID(key).flatMap { cleared.contains($0) ? nil : ids[$0] }.map { ($0, value) }
    }
    guard graph.setEntries(of: parts.state, to: kept) else {
      throw cannotEdit(parts.state, at: optimizer.path)
    }
    return OptimizerEdit(
      path: optimizer.path, kept: edit.kept, removed: edit.removed, cleared: edit.cleared,
      renamed: edit.renamed)
  }

  /// Whether an optimizer's state stands at a path.
  ///
  /// - Throws: `CheckpointError` for a path that leads nowhere.
  public func hasOptimizer(at path: String) throws -> Bool {
    optimizerParts(of: try resolve(path)) != nil
  }

  /// Lets an optimizer's state, with its groups and all that is changed in it, be the path's own; what else
  /// mentions it keeps what it has.
  ///
  /// - Returns: what was one object before and is not any more.
  /// - Throws: `CheckpointError` for a path that leads nowhere; `OptimizerError` for what is no optimizer state.
  public mutating func separateOptimizer(at path: String) throws -> [SeparatedObject] {
    let own = try separate(ObjectPath(path).steps)
    guard let parts = optimizerParts(of: own.ref) else {
      throw OptimizerError.notAnOptimizer(
        file: self.path, path: path, "\(summary(of: own.ref)) is no optimizer's state")
    }
    let groups = try parts.groups.map { group in
      let copy = copyOne(group)
      try ownChild("params", of: copy, at: path)
      try ownChild("param_names", of: copy, at: path)
      return copy
    }
    try ownChild("state", of: own.ref, at: path)
    let list = try ownChild("param_groups", of: own.ref, at: path)
    guard let list, graph.setItems(of: list, to: groups) else {
      throw cannotEdit(own.ref, at: path)
    }
    return own.separated.map { [$0] } ?? []
  }

  /// Gives an object a child of its own in the place of the one that it has, if it has one.
  @discardableResult
  private mutating func ownChild(
    _ step: String, of ref: PickleGraph.Ref, at path: String
  ) throws -> PickleGraph.Ref? {
    guard let child = graph.child(step, of: ref) else { return nil }
    let copy = copyOne(child)
    guard graph.setChild(step, of: ref, to: copy) else { throw cannotEdit(ref, at: path) }
    return copy
  }

  /// Gives the parameters of a group their new numbers, and `param_names` the new names.
  private mutating func renumber(
    _ group: PickleGraph.Ref, at path: String, _ ids: [String: PickleGraph.Ref],
    _ names: [String: String]
  ) throws {
    guard let params = graph.value(of: "params", in: group), let old = graph.sequence(params) else {
      throw cannotEdit(group, at: path)
    }
    let kept = old.compactMap(parameterID).filter { ids[$0] != nil }
    if let list = graph.value(of: "param_names", in: group), graph.sequence(list) != nil {
      let new = kept.map { graph.addString(names[$0] ?? $0) }
      guard graph.setItems(of: list, to: new) else { throw cannotEdit(list, at: path) }
    }
    guard graph.setItems(of: params, to: kept.compactMap({ ids[$0] })) else {
      throw cannotEdit(params, at: path)
    }
  }

  private func cannotEdit(_ ref: PickleGraph.Ref, at path: String) -> CheckpointError {
    .cannotEdit(
      file: self.path, path: path, what: "cannot be numbered anew", holder: summary(of: ref))
  }
}
