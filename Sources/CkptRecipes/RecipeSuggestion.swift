public import CkptStateDicts

extension StateDict {
  /// The bundled recipe after which most of `reference` would be found here, and what `load_state_dict` would
  /// then say; nil if none finds more than is found now.
  ///
  /// - Throws: `RecipeError` for a recipe that comes with the library and makes no sense.
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
        // Its rules make keys of this state dict meet.
      }
    }
    return best
  }
}
