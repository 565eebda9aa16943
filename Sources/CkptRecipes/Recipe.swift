public import CkptPatterns
public import CkptStateDicts

/// A named set of rules for the keys of a kind of checkpoint.
public struct Recipe: Sendable {
  /// A set of steps for one form of such checkpoints.
  public struct Variant: Sendable {
    /// The patterns by which the form is recognized; each must match a key.
    public let when: [KeyPattern]
    /// The changes to the keys, in order.
    public let steps: [KeyStep]
    /// The steps as text from the recipe file.
    public let written: [String]
  }

  /// The name that selects the recipe.
  public let name: String
  /// One line that names the original and the resulting form of the keys.
  public let title: String
  /// A description in a few sentences.
  public let about: String
  /// The library or project that writes such keys.
  public let source: String
  /// The variants; the first one whose patterns all match is used.
  public let variants: [Variant]

  /// The steps of the first variant that fits the keys; nil if none does.
  public func steps(for keys: [String]) -> [KeyStep]? {
    variants.first { $0.when.allSatisfy { $0.matchesAny(of: keys) } }?.steps
  }
}

/// A rule for keys: a step, or a recipe whose steps depend on the keys.
public enum KeyRule: Sendable {
  /// A step.
  case step(KeyStep)
  /// A recipe, applied to the keys after the preceding rules.
  case recipe(Recipe)
}

extension StateDict {
  /// Converts rules to steps for this state dict, choosing the variants of recipes.
  ///
  /// - Throws: `RecipeError.doesNotFit` if no variant of a recipe fits the keys; what
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
        // A step of a recipe may match no key, which is not an error.
        steps += chosen.map(KeyStep.optional)
      }
    }
    return steps
  }
}
