internal import CkptPickle
public import CkptStateDicts
internal import CkptTensors

/// Whose parameters an optimizer's may be.
public struct OptimizerOwners: Sendable, Hashable {
  /// The path of the optimizer's state.
  public let path: String
  /// Whether they may be those of the state dict that was asked about.
  public let mayBeAsked: Bool
  /// The paths of the other state dicts in the checkpoint whose parameters they may be.
  public let others: [String]
}

extension Checkpoint {
  /// The state dicts whose parameters each optimizer's may be: by the names that it records, or else by shapes.
  ///
  /// Numbers say nothing of the model that they belong to, so that shapes that fit more than one leave it
  /// open, as those of a student and its teacher do.
  /// - Parameters:
  ///   - place: the path of the state dict that is asked about; without one that of ``stateDictPath()``.
  ///   - model: that state dict.
  /// - Throws: `CheckpointError` for a path that leads nowhere.
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

  /// The one state dict whose parameters an optimizer's may be; else the paths of all that fit.
  func owner(of optimizer: OptimizerState) throws -> (stateDict: StateDict?, fitting: [String]) {
    let fitting = try otherStateDicts(than: nil).filter {
      Self.mayBelong(optimizer, to: $0.stateDict)
    }
    return (fitting.count == 1 ? fitting.first?.stateDict : nil, fitting.map(\.path))
  }

  /// The state dicts in the checkpoint, each once, but for one.
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
        // A mapping with keys that are no strings has no parameters.
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
