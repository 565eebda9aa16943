internal import CkptText
public import CkptStateDicts
internal import CkptTensors

/// An optimizer's state that an edit of the model's keys leaves behind.
public struct OptimizerImpact: Sendable {
  /// The path of the optimizer's state.
  public let path: String
  /// How many parameters it has.
  public let count: Int
  /// The parameters whose keys were left out.
  public let gone: [String]
  /// The names that it records and that changed.
  public let renamed: [String]
  /// How the parameters' names are known; where they are not, `gone` is what could be concerned.
  public let naming: ParameterNaming
  /// The paths of other state dicts whose parameters the optimizer's may be.
  public let others: [String]
}

extension Checkpoint {
  /// The optimizers' states that no longer fit when the keys of `model` were edited so; those that can only be
  /// another state dict's are none of them.
  ///
  /// - Parameters:
  ///   - report: what became of every key of `model`.
  ///   - model: the state dict as it was.
  ///   - place: its path; without one that of ``stateDictPath()``.
  /// - Throws: `CheckpointError` for a path that leads nowhere; `OptimizerError` for states that make no sense.
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
          case .some(let other?) where optimizer.naming == .recorded && other != name:
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

  /// Lets the optimizers' states follow an edit of the model's keys: parameters whose keys were left out
  /// go, the others are numbered anew, and names that are recorded change with the keys. One that can only be
  /// another state dict's stays as it is.
  ///
  /// - Parameters:
  ///   - report: what became of every key of `model`.
  ///   - model: the state dict as it was.
  ///   - place: its path; without one that of ``stateDictPath()``.
  ///   - source: where the names of the parameters come from.
  /// - Throws: `OptimizerError.unclearOwner` if the names are not given and an optimizer may as well be another
  ///   state dict's; `OptimizerError.names` if the parameters' names are not known or are no keys of `model`;
  ///   then nothing was changed.
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

  /// Lets one optimizer's state follow an edit of the keys of the model that it trained; the caller knows that
  /// it did.
  ///
  /// - Throws: `OptimizerError.names` if the parameters' names are not known or are no keys of `model`.
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

  /// Lets steps choose and rename an optimizer's parameters, as they do keys.
  ///
  /// - Throws: `OptimizerError.names` if the names are not known; what ``StateDict/keyReport(_:)`` throws.
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
  /// - Throws: `CheckpointError` for a path that leads nowhere; `OptimizerError` for what is no optimizer state.
  public func optimizerState(
    at path: String, source: ParameterNameSource, model: StateDict? = nil
  ) throws -> OptimizerState {
    switch source {
    case .checkpoint: try optimizerState(at: path, model: model)
    case .names(let names): try optimizerState(at: path, model: model, names: names)
    case .model(let other): try optimizerState(at: path, model: other)
    }
  }

  private static func newNames(_ report: KeyReport) -> [String: String?] {
    Dictionary(report.changes.map { ($0.old, $0.new) }) { first, _ in first }
  }

  /// What stands before the optimizer's names in the state dict's keys: `module.` where the model was
  /// wrapped only after the optimizer was made.
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
  /// The parameters as a state dict of what is kept for them, so that shapes can be selected too.
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

/// Where the names of an optimizer's parameters come from.
public enum ParameterNameSource: Sendable {
  /// From the checkpoint itself: recorded there, or inferred from the model's state dict beside it.
  case checkpoint
  /// These, in the optimizer's order.
  case names([String])
  /// Inferred from this state dict.
  case model(StateDict)
}
