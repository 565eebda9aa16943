public import CkptPatterns
public import CkptStateDicts

/// A named set of rules for the keys of a kind of checkpoint.
public struct Recipe: Sendable {
  /// One way in which such checkpoints are written.
  public struct Variant: Sendable {
    /// All of these must match a key.
    public let when: [KeyPattern]
    /// What is done to the keys, in order.
    public let steps: [KeyStep]
    /// The steps as the file has them, for people.
    public let written: [String]
  }

  /// The name that selects the recipe.
  public let name: String
  /// One line: from which kind of keys to which.
  public let title: String
  /// What it does, in a few sentences.
  public let about: String
  /// The library or project that writes such keys.
  public let source: String
  /// The variants; the first whose patterns all match is used.
  public let variants: [Variant]

  /// The steps of the first variant that fits those keys; nil if none does.
  public func steps(for keys: [String]) -> [KeyStep]? {
    variants.first { $0.when.allSatisfy { $0.matchesAny(of: keys) } }?.steps
  }
}

/// A rule for keys: a step, or a recipe that is still to choose its steps.
public enum KeyRule: Sendable {
  /// A step.
  case step(KeyStep)
  /// A recipe; it looks at the keys as the rules before it left them.
  case recipe(Recipe)
}

extension StateDict {
  /// The rules as steps for this state dict; recipes have chosen theirs.
  ///
  /// - Throws: `RecipeError.doesNotFit` for a recipe none of whose variants fits the keys; what
  ///   ``StateDicts/StateDict/keyReport(_:)`` throws.
  public func steps(of rules: [KeyRule]) throws -> [KeyStep] {
    var steps: [KeyStep] = []
    for rule in rules {
      switch rule {
      case .step(let step): steps.append(step)
      case .recipe(let recipe):
        let keys = try keyReport(steps).changes.compactMap(\.new)
        guard let chosen = recipe.steps(for: keys) else {
          throw RecipeError.doesNotFit(
            recipe: recipe.name, wanted: recipe.variants.map { $0.when.map(\.written) })
        }
        // That a step of a recipe finds nothing to do is no fault.
        steps += chosen.map(KeyStep.optional)
      }
    }
    return steps
  }
}
