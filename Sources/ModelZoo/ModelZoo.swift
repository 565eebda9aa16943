public import CkptStateDicts
public import TrainingCore

/// The models that can be built by name.
public struct ModelZoo: Sendable {
  /// The families, in the order in which they are tried.
  public let families: [any ModelFamily]

  /// Creates a zoo of the given families.
  public init(families: [any ModelFamily]) { self.families = families }

  /// The families of the library.
  public static let standard = ModelZoo(families: [
    ResNetFamily(name: "resnet18", blocks: [2, 2, 2, 2], hasBottlenecks: false),
    ResNetFamily(name: "resnet34", blocks: [3, 4, 6, 3], hasBottlenecks: false),
    ResNetFamily(name: "resnet50", blocks: [3, 4, 6, 3], hasBottlenecks: true),
    ResNetFamily(name: "resnet101", blocks: [3, 4, 23, 3], hasBottlenecks: true),
    VGGFamily(), MobileNetV2Family(), VisionTransformerFamily(), BERTFamily(), GPT2Family(),
    LlamaFamily(), MLPFamily(),
  ])

  /// The family with a name.
  ///
  /// - Throws: `ZooError.unknownModel` if there is none.
  public func family(_ name: String) throws -> any ModelFamily {
    guard let family = families.first(where: { $0.name == name }) else {
      throw ZooError.unknownModel(name, known: families.map(\.name))
    }
    return family
  }

  /// Builds a model with new weights whose sizes are inferred from a state dict.
  ///
  /// - Parameters:
  ///   - spec: the model.
  ///   - stateDict: the state dict that the model will load.
  ///   - random: the source of the initial weights.
  /// - Throws: `ZooError` if there is no such model, an option is invalid, or sizes cannot be
  ///   inferred; `TrainingError`.
  public func makeModel(
    _ spec: ModelSpec, fitting stateDict: StateDict, from random: RandomSource = .shared
  ) throws -> ZooModel {
    try family(for: spec).makeModel(
      fitting: StateShapes(stateDict), spec.options, from: random)
  }

  /// The family of a spec, after a check that it has the spec's options.
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
