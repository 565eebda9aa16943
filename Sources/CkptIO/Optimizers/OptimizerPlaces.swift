internal import CkptPickle
public import CkptStateDicts
internal import CkptTensors

/// The state dicts that may contain an optimizer's parameters.
public struct OptimizerOwners: Sendable, Hashable {
  /// The path of the optimizer's state.
  public let path: String
  /// Whether the given state dict may contain them.
  public let mayBeAsked: Bool
  /// The paths of the other state dicts in the checkpoint that may contain them.
  public let others: [String]
}

extension Checkpoint {
  /// For each optimizer, the state dicts that may contain its parameters, by recorded names or by
  /// shapes.
  ///
  /// Parameter numbers do not identify a model. If the shapes match several models, such as a
  /// student and its teacher, the result is ambiguous.
  ///
  /// - Parameters:
  ///   - place: the path of the given state dict; nil for that of ``stateDictPath()``.
  ///   - model: the given state dict.
  /// - Throws: `CheckpointError` if there is no state dict at the path.
  public func optimizerOwners(
    of model: StateDict, at modelPath: String? = nil
  ) throws -> [OptimizerOwners] {
    let asked = try resolve(modelPath ?? stateDictPath())
    let others = try otherStateDicts(than: asked)
    return try optimizerPaths().map { path in
      let optimizer = try numberedOptimizer(at: path)
      return OptimizerOwners(
        path: path, mayBeAsked: Self.mayBelong(optimizer, to: model),
        others: others.filter { Self.mayBelong(optimizer, to: $0.stateDict) }.map(\.path))
    }
  }

  /// The only state dict that may contain an optimizer's parameters; otherwise nil and the paths of
  /// all that may.
  func owner(of optimizer: OptimizerState) throws -> (stateDict: StateDict?, fitting: [String]) {
    let fitting = try otherStateDicts(than: nil).filter {
      Self.mayBelong(optimizer, to: $0.stateDict)
    }
    return (fitting.count == 1 ? fitting.first?.stateDict : nil, fitting.map(\.path))
  }

  /// The state dicts in the checkpoint, each once, except the given one.
  private func otherStateDicts(
    than asked: PickleGraph.Ref?
  ) throws -> [(path: String, stateDict: StateDict)] {
    var seen: Set<PickleGraph.Ref> = []
    if let asked { seen.insert(asked) }
    return try stateDictPaths().compactMap { path in
      guard seen.insert(try resolve(path)).inserted else { return nil }
      do {
        return (path, try stateDict(at: path))
      } catch is CheckpointError {
        // A mapping with other than string keys does not contain parameters.
        return nil
      }
    }
  }

  private static func mayBelong(_ optimizer: OptimizerState, to model: StateDict) -> Bool {
    guard optimizer.naming == .recorded else {
      return ParameterOrder.mayHold(optimizer.parameters.map(\.shape), in: model)
    }
    let prefix = prefix(of: optimizer, in: model)
    return optimizer.parameters.allSatisfy { parameter in
      guard let name = parameter.name, model.value(for: prefix + name) != nil else { return false }
      guard let shape = parameter.shape, let found = model[prefix + name]?.shape else {
        return true
      }
      return shape == found
    }
  }
}
