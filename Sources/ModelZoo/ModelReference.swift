public import StateDicts
internal import TrainingCore

/// A model as state dicts are checked against it: its keys, shapes and types. It is not run, and its
/// weights are never drawn.
public struct ModelReference {
  /// Where the model's sizes are from.
  public enum Sizes: String, Sendable {
    /// From the state dict's shapes.
    case inferred
    /// From the state dict's shapes behind a prefix that the model lacks.
    case inferredBehindPrefix = "inferred_behind_prefix"
    /// From the model as it was published, since the state dict does not tell them.
    case published
  }

  /// The model.
  public let model: ZooModel
  /// Where its sizes are from.
  public let sizes: Sizes
  /// What the model would save.
  public let stateDict: StateDict
}

extension ModelZoo {
  /// The model that is asked for, to check a state dict against.
  ///
  /// Sizes are inferred from the state dict as far as it tells them, be it behind a prefix; else they are
  /// those in which the model was published. So a tensor that is missing, or of another shape than the
  /// others ask for, is found by `StateDict.validate(against:)`.
  /// - Throws: `ZooError`, where nothing tells the model's sizes.
  public func reference(_ spec: ModelSpec, for stateDict: StateDict) throws -> ModelReference {
    let family = try family(for: spec)
    let random = RandomSource(seed: 0)
    func make(_ shapes: StateShapes, _ sizes: ModelReference.Sizes) throws -> ModelReference {
      let model = try family.makeModel(fitting: shapes, spec.options, from: random)
      return ModelReference(model: model, sizes: sizes, stateDict: try model.module.stateDict())
    }
    let prefixes = family.prefixes(in: stateDict.keys)
    var failure: ZooError?
    do {
      // Where the model's first weight stands behind a prefix only, shapes are looked up behind it first.
      if prefixes.isEmpty || prefixes.contains("") {
        return try make(StateShapes(stateDict), .inferred)
      }
    } catch let error as ZooError {
      guard case .cannotInfer = error else { throw error }
      failure = error
    }
    for prefix in prefixes where !prefix.isEmpty {
      let shapes = try StateShapes(stateDict, behind: prefix)
      guard family.recognises(shapes) else { continue }
      if let found = try? make(shapes, .inferredBehindPrefix) { return found }
    }
    guard let published = try family.makePublishedModule(from: random) else {
      if let failure { throw failure }
      return try make(StateShapes(stateDict), .inferred)
    }
    return try make(StateShapes(published.stateDict()), .published)
  }
}
