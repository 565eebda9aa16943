public import TrainingCore

/// A family of models, such as ResNet-18 of any width. It recognizes its state dicts and builds
/// models that fit them.
///
/// A program adds families by conforming types, passed to ``ModelZoo/init(families:)``.
public protocol ModelFamily: Sendable {
  /// The name in a ``ModelSpec``, such as `resnet18`.
  var name: String { get }
  /// A key that all state dicts of the family have. The part before it in a file's keys is a
  /// prefix.
  var anchor: String { get }
  /// A prefix of the model's keys, before the anchor, that some state dicts have and others lack,
  /// such as `bert.`; nil if there is none.
  var optionalPrefix: String? { get }
  /// The options of a ``ModelSpec`` for hyperparameters that shapes do not determine: names and
  /// explanations.
  var options: [(name: String, explanation: String)] { get }

  /// The model with its published sizes, for state dicts from which sizes cannot be inferred.
  ///
  /// - Parameter random: the source of the initial weights.
  /// - Returns: the model; nil if there is no published size.
  /// - Throws: `TrainingError.outOfMemory`.
  func makePublishedModule(from random: RandomSource) throws -> Module?

  /// Whether shapes that include the anchor are those of this family rather than of a similar one.
  func recognizes(_ shapes: StateShapes) -> Bool

  /// Builds a model with new weights whose hyperparameters are inferred from shapes.
  ///
  /// - Parameters:
  ///   - shapes: the shapes of a state dict, without prefix.
  ///   - options: hyperparameters that shapes do not determine.
  ///   - random: the source of the initial weights.
  /// - Throws: `ZooError` if hyperparameters cannot be inferred or an option is invalid;
  ///   `TrainingError`.
  func makeModel(fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource)
    throws -> ZooModel
}

extension ModelFamily {
  /// The default: no optional prefix.
  public var optionalPrefix: String? { nil }
  /// The default: the option `classes`.
  public var options: [(name: String, explanation: String)] { [ModelOptions.classes] }
  /// The default: no published size.
  ///
  /// - Throws: nothing; families may throw.
  public func makePublishedModule(from random: RandomSource) throws -> Module? { nil }
}
