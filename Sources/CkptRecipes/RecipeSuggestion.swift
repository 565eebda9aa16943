public import CkptStateDicts

extension StateDict {
  /// The bundled recipe that makes the most keys of `reference` available in this state dict, with
  /// the resulting report of `load_state_dict`; nil if no recipe makes more keys available than
  /// without it.
  ///
  /// - Throws: `RecipeError` if a bundled recipe is invalid.
  public func suggestedRecipe(
    toFit reference: StateDict, strict: Bool = true
  ) throws -> (recipe: Recipe, report: LoadReport)? {
    var best: (recipe: Recipe, report: LoadReport)?
    var most = try validate(against: reference, strict: strict).loaded.count
    for recipe in try RecipeBook.bundled().recipes {
      guard let steps = recipe.steps(for: keys) else { continue }
      do {
        let report = try applying(steps).result.validate(against: reference, strict: strict)
        let isBetter = best?.report.isLoadable == false && report.isLoadable
        guard report.loaded.count > most || report.loaded.count == most && isBetter else {
          continue
        }
        (best, most) = ((recipe, report), report.loaded.count)
      } catch is StateDictError {
        // The recipe's steps fail for this state dict, for example because two keys get the same
        // name.
      }
    }
    return best
  }
}
