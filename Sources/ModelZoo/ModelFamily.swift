public import TrainingCore

/// A kind of model, such as ResNet-18 of any width: recognizes its state dicts and builds a model that fits one.
///
/// A program adds kinds of its own by types that conform to this, given to ``ModelZoo/init(families:)``.
public protocol ModelFamily: Sendable {
  /// The name in a ``ModelSpec``, such as `resnet18`.
  var name: String { get }
  /// A key that all state dicts of the family have. What precedes it in a file's keys is a prefix.
  var anchor: String { get }
  /// A part of the model's keys before the anchor that some state dicts have and others lack, such as `bert.`; nil if
  /// there is none.
  var optionalPrefix: String? { get }
  /// The options of a ``ModelSpec`` for hyperparameters that shapes do not determine: names and explanations.
  var options: [(name: String, explanation: String)] { get }

  /// The model in the sizes in which it was published, for state dicts from which sizes cannot be inferred.
  ///
  /// - Parameter random: the source of the initial weights.
  /// - Returns: the model; nil if there is no published size.
  /// - Throws: `TrainingError.outOfMemory`.
  func makePublishedModule(from random: RandomSource) throws -> Module?

  /// Whether shapes whose keys include the anchor are those of this model rather than of a similar one.
  func recognizes(_ shapes: StateShapes) -> Bool

  /// Builds a model with new weights whose hyperparameters are inferred from shapes.
  ///
  /// - Parameters:
  ///   - shapes: the shapes of a state dict, without prefix.
  ///   - options: hyperparameters that shapes do not determine.
  ///   - random: the source of the initial weights.
  /// - Throws: `ZooError` where hyperparameters cannot be inferred or an option has no valid value; `TrainingError`.
  func makeModel(fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource)
    throws -> ZooModel
}

extension ModelFamily {
  /// No optional prefix by default.
  public var optionalPrefix: String? { nil }
  /// The option `classes` by default.
  public var options: [(name: String, explanation: String)] { [ModelOptions.classes] }
  /// No published size by default.
  ///
  /// - Throws: nothing; other families may.
  public func makePublishedModule(from random: RandomSource) throws -> Module? { nil }
}
