public import CkptStateDicts
internal import TrainingCore
internal import CkptText

/// A model whose keys and shapes match those of a state dict.
public struct ModelMatch: Sendable {
  /// The model's name.
  public let name: String
  /// The part before the model's keys in the state dict; often empty.
  public let prefix: String
  /// The number of the model's keys that the state dict has with the right shape.
  public let matched: Int
  /// The number of the model's keys.
  public let count: Int
  /// The model's keys that the state dict does not have, or has with a different shape.
  public let lacking: [String]
  /// Whether all of these belong to the head.
  public let lacksOnlyHead: Bool
  /// Keys of the state dict with the prefix that the model does not have.
  public let unexpected: [String]

  /// Whether the keys are the same, without a prefix.
  public var isExact: Bool { prefix.isEmpty && lacking.isEmpty && unexpected.isEmpty }
}

extension ModelZoo {
  /// The models whose keys a state dict has, possibly with a prefix or without the head; the best
  /// match first.
  ///
  /// - Throws: `ZooError.tooLarge` if the shapes have far more elements than the storages have
  ///   bytes.
  public func matches(_ stateDict: StateDict) throws -> [ModelMatch] {
    let keys = stateDict.keys
    var result: [ModelMatch] = []
    for family in families {
      for prefix in family.prefixes(in: keys) {
        let shapes = try StateShapes(stateDict, behind: prefix)
        guard family.recognizes(shapes),
          let model = try? family.makeModel(fitting: shapes, ModelOptions(), from: .init(seed: 0))
        else { continue }
        result.append(Self.match(model, shapes, prefix))
      }
    }
    return result.sorted {
      ($0.lacking.count + $0.unexpected.count, $0.prefix.count)
        < ($1.lacking.count + $1.unexpected.count, $1.prefix.count)
    }
  }

  private static func match(_ model: ZooModel, _ shapes: StateShapes, _ prefix: String)
    -> ModelMatch
  {
    let wanted = model.module.stateShapes
    var lacking: [String] = []
    var known = ExactSet()
    for (key, shape) in wanted {
      known.insert(key)
      if shapes[key] != shape { lacking.append(key) }
    }
    let unexpected = shapes.keys.filter { key in
      !known.contains(key) && !model.ignorable.contains(where: { key.hasSuffix($0) })
    }
    return ModelMatch(
      name: model.name, prefix: prefix, matched: wanted.count - lacking.count,
      count: wanted.count, lacking: lacking,
      lacksOnlyHead: !lacking.isEmpty && lacking.allSatisfy(model.isHead), unexpected: unexpected)
  }
}

extension ModelFamily {
  /// The prefixes before the family's anchor in keys; at most eight.
  func prefixes(in keys: [String]) -> [String] {
    if anchor.isEmpty { return [""] }
    var prefixes: [String] = []
    for key in keys where key.hasSuffix(anchor) {
      var prefix = String(key.dropLast(anchor.count))
      guard prefix.isEmpty || prefix.hasSuffix(".") else { continue }
      if let optionalPrefix, prefix == optionalPrefix || prefix.hasSuffix("." + optionalPrefix) {
        prefix.removeLast(optionalPrefix.count)
      }
      if !prefixes.contains(prefix) { prefixes.append(prefix) }
      if prefixes.count == 8 { break }
    }
    return prefixes
  }
}
