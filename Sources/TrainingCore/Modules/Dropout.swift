/// Sets elements to zero at random while training, and scales the others so that the mean is kept:
/// PyTorch's `nn.Dropout`.
public final class Dropout: Module {
  /// The probability with which an element is set to zero, `p` in PyTorch.
  public private(set) var probability: Double
  var random: RandomSource

  /// A layer that sets each element to zero with a probability.
  ///
  /// - Parameters:
  ///   - probability: from 0 to 1, `p` in PyTorch.
  ///   - random: the source that decides which.
  public init(_ probability: Double = 0.5, from random: RandomSource = .shared) {
    self.probability = probability
    self.random = random
  }

  /// Changes the probability: PyTorch's assignment to `p`.
  ///
  /// - Throws: `TrainingError.badArgument` if it is not between 0 and 1, before anything is
  ///   changed.
  public func setProbability(_ probability: Double) throws {
    try Variable.checkDropout(probability)
    self.probability = probability
  }

  /// The input with elements set to zero; the input itself when not training.
  ///
  /// - Throws: `TrainingError.badArgument` if the probability is not between 0 and 1.
  override public func forward(_ input: Variable) throws -> Variable {
    isTraining ? try input.dropout(probability, from: random) : input
  }
}
