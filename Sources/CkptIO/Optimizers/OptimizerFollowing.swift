internal import CkptText
public import CkptStateDicts
internal import CkptTensors

/// An optimizer's state that no longer matches the model after an edit of the model's keys.
public struct OptimizerImpact: Sendable {
  /// The path of the optimizer's state.
  public let path: String
  /// The number of parameters.
  public let count: Int
  /// The parameters whose keys were removed.
  public let gone: [String]
  /// The recorded names that changed.
  public let renamed: [String]
  /// How the parameters' names are known; if they are not, `gone` are the parameters that may be
  /// affected.
  public let naming: ParameterNaming
  /// The paths of other state dicts that may be the optimizer's model.
  public let others: [String]
}

extension Checkpoint {
  /// The optimizer states that no longer match after an edit of the keys of `model`. States that
  /// can only belong to another state dict are excluded.
  ///
  /// - Parameters:
  ///   - report: the changes of the keys of `model`.
  ///   - model: the state dict before the edit.
  ///   - place: its path; nil for that of ``stateDictPath()``.
  /// - Throws: `CheckpointError` if there is no state dict at the path; `OptimizerError` for
  ///   invalid states.
  public func optimizersLeftBehind(
    by report: KeyReport, of model: StateDict, at modelPath: String? = nil
  ) throws -> [OptimizerImpact] {
    guard report.changes.contains(where: { !$0.isSame }) else { return [] }
    return try optimizerOwners(of: model, at: modelPath).compactMap { owners in
      guard owners.mayBeAsked || owners.others.isEmpty else { return nil }
      let optimizer = try optimizerState(at: owners.path, model: model)
      let new = Self.newNames(report)
      var gone: [String] = []
      var renamed: [String] = []
      if case .unknown = optimizer.naming {
        gone = ParameterOrder.parameters(of: model).map(\.name).filter { new[$0] == .some(nil) }
      } else {
        let prefix = Self.prefix(of: optimizer, in: model)
        for name in optimizer.parameters.compactMap(\.name) {
          switch new[prefix + name] {
          case .some(nil): gone.append(name)
          case .some(let other?) where optimizer.naming == .recorded && !other.isExactly(name):
            renamed.append(name)
          default: break
          }
        }
      }
      if gone.isEmpty, renamed.isEmpty { return nil }
      return OptimizerImpact(
        path: owners.path, count: optimizer.parameters.count, gone: gone, renamed: renamed,
        naming: optimizer.naming, others: owners.others)
    }
  }

  /// Adapts the optimizer states to an edit of the model's keys: parameters whose keys were removed
  /// are removed, the others are renumbered, and recorded names change with the keys. States that
  /// can only belong to another state dict are unchanged.
  ///
  /// - Parameters:
  ///   - report: the changes of the keys of `model`.
  ///   - model: the state dict before the edit.
  ///   - place: its path; nil for that of ``stateDictPath()``.
  ///   - source: the source of the parameters' names.
  /// - Throws: `OptimizerError.unclearOwner` if no names are given and an optimizer may belong to
  ///   another state dict; `OptimizerError.names` if the parameters' names are unknown or are not
  ///   keys of `model`. After an error nothing is changed.
  public mutating func letOptimizersFollow(
    _ report: KeyReport, of model: StateDict, at modelPath: String? = nil,
    names source: ParameterNameSource = .checkpoint
  ) throws -> [OptimizerEdit] {
    var result = self
    var edits: [OptimizerEdit] = []
    if case .checkpoint = source {
      let modelPath = try modelPath ?? stateDictPath()
      for owners in try optimizerOwners(of: model, at: modelPath) {
        guard owners.mayBeAsked || owners.others.isEmpty else { continue }
        guard owners.others.isEmpty else {
          throw OptimizerError.unclearOwner(
            file: path, path: owners.path, paths: [modelPath] + owners.others)
        }
        edits.append(try result.letOptimizer(at: owners.path, follow: report, of: model))
      }
    } else {
      edits = try optimizerPaths().map {
        try result.letOptimizer(at: $0, follow: report, of: model, names: source)
      }
    }
    self = result
    return edits
  }

  /// Adapts one optimizer state to an edit of the keys of its model. The caller must know that it
  /// is the optimizer's model.
  ///
  /// - Throws: `OptimizerError.names` if the parameters' names are unknown or are not keys of
  ///   `model`.
  public mutating func letOptimizer(
    at path: String, follow report: KeyReport, of model: StateDict,
    names source: ParameterNameSource = .checkpoint
  ) throws -> OptimizerEdit {
    let new = Self.newNames(report)
    let optimizer = try optimizerState(at: path, source: source, model: model)
    let prefix = Self.prefix(of: optimizer, in: model)
    let file = self.path
    return try editOptimizer(optimizer) { name in
      guard let change = new[prefix + name] else {
        throw OptimizerError.names(
          file: file, path: path,
          "the optimizer's parameter \(Text.printable(name)) is no key of the state dict")
      }
      return change.map(OptimizerState.Change.keep) ?? .remove
    }
  }

  /// Selects and renames an optimizer's parameters with steps, as for keys.
  ///
  /// - Throws: `OptimizerError.names` if the names are unknown; what ``StateDict/keyReport(_:)``
  ///   throws.
  public mutating func editOptimizer(
    _ optimizer: OptimizerState, _ steps: [KeyStep]
  ) throws -> (report: KeyReport, edit: OptimizerEdit) {
    let report = try optimizer.parametersByName.keyReport(steps)
    let new = Self.newNames(report)
    let edit = try editOptimizer(optimizer) { name in
      (new[name] ?? nil).map(OptimizerState.Change.keep) ?? .remove
    }
    return (report, edit)
  }

  /// The optimizer's state at a path, with names from `source`.
  ///
  /// - Throws: `CheckpointError` if there is no object at the path; `OptimizerError` if it is not
  ///   an optimizer's state.
  public func optimizerState(
    at path: String, source: ParameterNameSource, model: StateDict? = nil
  ) throws -> OptimizerState {
    switch source {
    case .checkpoint: try optimizerState(at: path, model: model)
    case .names(let names): try optimizerState(at: path, model: model, names: names)
    case .model(let other): try optimizerState(at: path, model: other)
    }
  }

  private static func newNames(_ report: KeyReport) -> ExactDictionary<String?> {
    ExactDictionary(report.changes.map { ($0.old, $0.new) })
  }

  /// The prefix that the state dict's keys have compared with the optimizer's names: `module.` if
  /// the model was wrapped after the optimizer was created.
  static func prefix(of optimizer: OptimizerState, in model: StateDict) -> String {
    let names = optimizer.parameters.compactMap(\.name)
    guard let first = names.first, model.value(for: first) == nil else { return "" }
    let prefixes = model.keys.compactMap { key in
      key.hasSuffix("." + first) ? String(key.dropLast(first.count)) : nil
    }
    return prefixes.first { prefix in
      names.allSatisfy { model.value(for: prefix + $0) != nil }
    } ?? ""
  }
}

extension OptimizerState {
  /// The states of the parameters as a state dict, so that parameters can be selected by shape,
  /// too.
  public var parametersByName: StateDict {
    var stateDict = StateDict()
    for parameter in parameters {
      guard let name = parameter.name else { continue }
      let tensor = parameter.state.first { $0.tensor?.shape == parameter.shape }?.tensor
      stateDict.setValue(
        tensor.map(StateDict.Value.tensor) ?? .object(OpaqueObject(summary: "parameter")),
        for: name)
    }
    return stateDict
  }
}

/// The source of the names of an optimizer's parameters.
public enum ParameterNameSource: Sendable {
  /// The checkpoint: the names are recorded there, or inferred from the model's state dict in it.
  case checkpoint
  /// The given names, in the optimizer's order.
  case names([String])
  /// A state dict from which the names are inferred.
  case model(StateDict)
}
