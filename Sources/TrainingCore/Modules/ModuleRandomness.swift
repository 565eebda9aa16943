extension Module {
  /// Has all modules inside that drop elements at random draw from one source: ``Dropout`` and the
  /// attention weights' dropout of ``MultiheadAttention``.
  package func useRandomSource(_ random: RandomSource) {
    for (_, module) in namedModules {
      switch module {
      case let dropout as Dropout: dropout.random = random
      case let attention as MultiheadAttention: attention.random = random
      default: break
      }
    }
  }

  /// Sets the probability of every ``Dropout`` inside; that of attention weights is left as it is.
  ///
  /// - Returns: the number of these modules.
  /// - Throws: `TrainingError.badArgument` if the probability is not between 0 and 1, before
  ///   anything is changed.
  @discardableResult
  package func setDropout(_ probability: Double) throws -> Int {
    let dropouts = namedModules.compactMap { $0.module as? Dropout }
    for dropout in dropouts { try dropout.setProbability(probability) }
    return dropouts.count
  }
}
