internal import CkptText
internal import CkptPickle
internal import CkptStateDicts

/// The changes to an optimizer's state.
public struct OptimizerEdit: Sendable, Hashable {
  /// The path of the optimizer's state.
  public let path: String
  /// The number of parameters that are kept.
  public let kept: Int
  /// The names of the parameters that were removed.
  public let removed: [String]
  /// The names of the parameters that were kept without their state.
  public let cleared: [String]
  /// The changes of the names that the optimizer records.
  public let renamed: [Rename]

  /// A change of a name.
  public struct Rename: Sendable, Hashable {
    /// The old name.
    public let old: String
    /// The new name.
    public let new: String
  }
}

extension OptimizerState {
  /// A change of one parameter.
  public enum Change: Sendable, Hashable {
    /// The parameter is kept, with this name.
    case keep(as: String)
    /// The parameter is kept, but its state is removed, as if it had never been updated.
    case clear
    /// The parameter is removed, and following ones get lower numbers.
    case remove
  }
}

extension Checkpoint {
  /// Changes an optimizer's state, parameter by parameter; the remaining parameters are renumbered
  /// from 0.
  ///
  /// A group without parameters is kept, since `load_state_dict` requires the same number of
  /// groups.
  ///
  /// - Parameters:
  ///   - optimizer: the result of ``optimizerState(at:model:names:)``.
  ///   - change: returns the change for a parameter's name.
  /// - Throws: `OptimizerError.names` if the parameters' names are unknown.
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
    // For each remaining parameter, its new number or name by its current one.
    var ids: ExactDictionary<PickleGraph.Ref> = [:]
    var names: ExactDictionary<String> = [:]
    var cleared = ExactSet()
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

  /// Whether there is an optimizer's state at a path.
  ///
  /// - Throws: `CheckpointError` if there is no object at the path.
  public func hasOptimizer(at path: String) throws -> Bool {
    optimizerParts(of: try resolve(path)) != nil
  }

  /// Makes an optimizer's state, with its groups and everything else that is edited, independent of
  /// other references to it.
  ///
  /// - Returns: the objects that were shared and were copied.
  /// - Throws: `CheckpointError` if there is no object at the path; `OptimizerError` if it is not
  ///   an optimizer's state.
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

  /// Replaces a child of an object by a copy, if it has that child.
  @discardableResult
  private mutating func ownChild(
    _ step: String, of ref: PickleGraph.Ref, at path: String
  ) throws -> PickleGraph.Ref? {
    guard let child = graph.child(step, of: ref) else { return nil }
    let copy = copyOne(child)
    guard graph.setChild(step, of: ref, to: copy) else { throw cannotEdit(ref, at: path) }
    return copy
  }

  /// Sets the new numbers of a group's parameters, and the new names in `param_names`.
  private mutating func renumber(
    _ group: PickleGraph.Ref, at path: String, _ ids: ExactDictionary<PickleGraph.Ref>,
    _ names: ExactDictionary<String>
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
