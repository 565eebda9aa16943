public import StateDicts
public import TrainingCore

/// The models that are known by name.
public struct ModelZoo: Sendable {
  /// The kinds of models, in the order in which they are tried.
  public let families: [any ModelFamily]

  /// These families alone.
  public init(families: [any ModelFamily]) { self.families = families }

  /// All that come with the library.
  public static let standard = ModelZoo(families: [
    ResNetFamily(name: "resnet18", blocks: [2, 2, 2, 2], hasBottlenecks: false),
    ResNetFamily(name: "resnet34", blocks: [3, 4, 6, 3], hasBottlenecks: false),
    ResNetFamily(name: "resnet50", blocks: [3, 4, 6, 3], hasBottlenecks: true),
    ResNetFamily(name: "resnet101", blocks: [3, 4, 23, 3], hasBottlenecks: true),
    VGGFamily(), MobileNetV2Family(), VisionTransformerFamily(), BERTFamily(), GPT2Family(),
    LlamaFamily(), MLPFamily(),
  ])

  /// The family of a name.
  ///
  /// - Throws: `ZooError.unknownModel` if there is none.
  public func family(_ name: String) throws -> any ModelFamily {
    guard let family = families.first(where: { $0.name == name }) else {
      throw ZooError.unknownModel(name, known: families.map(\.name))
    }
    return family
  }

  /// Builds the model that is asked for so that a state dict fits it as far as it can.
  ///
  /// - Throws: `ZooError`.
  public func makeModel(
    _ spec: ModelSpec, fitting stateDict: StateDict, from random: RandomSource = .shared
  ) throws -> ZooModel {
    try family(for: spec).makeModel(
      fitting: StateShapes(stateDict), spec.options, from: random)
  }

  /// The family that is asked for, if it has the options that are told.
  func family(for spec: ModelSpec) throws -> any ModelFamily {
    let family = try family(spec.name)
    for option in spec.options.values.keys.sorted()
    where !family.options.contains(where: { $0.name == option }) {
      throw ZooError.badOption(
        model: family.name, option: option,
        problem: "is not known; there are: "
          + family.options.map(\.name).joined(separator: ", "))
    }
    return family
  }
}

/// A model whose keys a state dict has.
public struct ModelMatch: Sendable {
  /// The model's name.
  public let name: String
  /// What stands before the model's keys in the file.
  public let prefix: String
  /// How many of the model's keys are there with the right shape.
  public let matched: Int
  /// How many keys the model has.
  public let count: Int
  /// Keys that the file lacks, or has with another shape.
  public let lacking: [String]
  /// Whether all of those belong to the head.
  public let lacksOnlyHead: Bool
  /// Keys behind the prefix that the model does not have.
  public let unexpected: [String]

  /// Whether every key has its counterpart and no prefix is in the way.
  public var isExact: Bool { prefix.isEmpty && lacking.isEmpty && unexpected.isEmpty }
}

extension ModelZoo {
  /// The models whose keys a state dict has, be it behind a prefix, be it without the head; the best
  /// first.
  ///
  /// - Throws: `ZooError.tooLarge`.
  public func matches(_ stateDict: StateDict) throws -> [ModelMatch] {
    let keys = stateDict.keys
    var result: [ModelMatch] = []
    for family in families {
      for prefix in family.prefixes(in: keys) {
        let shapes = try StateShapes(stateDict, behind: prefix)
        guard family.recognises(shapes),
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
    var known = Set<String>()
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
  /// What stands before the family's anchor in keys; at most eight are found.
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
