public import CkptStateDicts
public import TrainingCore

/// A model with which a state dict's keys, shapes, and dtypes are compared. It is not run, and its
/// weights are not initialized.
public struct ModelReference {
  /// The origin of a model's sizes.
  public enum Sizes: String, Sendable {
    /// From the state dict's shapes.
    case inferred
    /// From the state dict's shapes, ignoring a prefix that the model does not have.
    case inferredBehindPrefix = "inferred_behind_prefix"
    /// The published sizes, because they cannot be inferred from the state dict.
    case published
  }

  /// The model.
  public let model: ZooModel
  /// The origin of its sizes.
  public let sizes: Sizes
  /// The state dict of the model.
  public let stateDict: StateDict
}

extension ModelZoo {
  /// The model with which a state dict is compared.
  ///
  /// Sizes are inferred from the state dict if possible, also with a prefix; otherwise they are the
  /// published ones. `StateDict.validate(against:)` then finds tensors that are missing or have a
  /// different shape.
  ///
  /// - Parameters:
  ///   - spec: the model.
  ///   - stateDict: the state dict to be compared.
  ///   - random: the source of the model's weights.
  /// - Throws: `ZooError` if there is no such model or its sizes cannot be determined;
  ///   `TrainingError`.
  public func reference(
    _ spec: ModelSpec, for stateDict: StateDict, from random: RandomSource = RandomSource(seed: 0)
  ) throws -> ModelReference {
    let family = try family(for: spec)
    func make(_ shapes: StateShapes, _ sizes: ModelReference.Sizes) throws -> ModelReference {
      let model = try family.makeModel(fitting: shapes, spec.options, from: random)
      return ModelReference(model: model, sizes: sizes, stateDict: try model.module.stateDict())
    }
    let prefixes = family.prefixes(in: stateDict.keys)
    var failure: ZooError?
    do {
      // If the anchor occurs only behind a prefix, shapes behind that prefix are tried first.
      if prefixes.isEmpty || prefixes.contains("") {
        return try make(StateShapes(stateDict), .inferred)
      }
    } catch let error as ZooError {
      guard case .cannotInfer = error else { throw error }
      failure = error
    }
    for prefix in prefixes where !prefix.isEmpty {
      let shapes = try StateShapes(stateDict, behind: prefix)
      guard family.recognizes(shapes) else { continue }
      if let found = try? make(shapes, .inferredBehindPrefix) { return found }
    }
    guard let published = try family.makePublishedModule(from: random) else {
      if let failure { throw failure }
      return try make(StateShapes(stateDict), .inferred)
    }
    return try make(StateShapes(published.stateDict()), .published)
  }
}
