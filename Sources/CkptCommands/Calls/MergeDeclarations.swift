internal import ArgumentParser
internal import StateDictKit

extension MergeCommand: PlannedCommand {
  /// The options of --method update only, besides permissions.
  private static let updating = RenameOptions.names + ["resize"]
  /// The options of computing methods, besides their parameters.
  private static let computing = ["base", "layers", "on-nan", "to-dtype"]

  func declareOptions(_ use: inout OptionUse) throws {
    let parameters = MergingOptions.parameters.map(\.option)
    use.decide("method", "config", "at", "other-at")
    use.decide(SelectionOptions.names)
    use.decide(Self.computing)
    use.refuse(Self.updating, because: "it goes with --method update")
    try output.declare(in: &use, keepingFormatOf: try firstInput(use.inputs))
    if let recipePath {
      let recipe = try use.inputs.recipe(recipePath)
      use.refuse(
        ["method", "at", "base"] + parameters,
        because: "a recipe says itself what is merged and how")
      use.refuse(
        SelectionOptions.names,
        because: "a recipe's filters say what each tensor gets; filter first")
      declareLayers(recipe.dependsOnLayers, in: &use)
      declareSeed(recipe.method.isRandom, recipe.method.name, in: &use)
    } else if method == "update" {
      use.decide(Self.updating)
      use.refuse(
        Self.computing + parameters,
        because: "it goes with a --method that computes, not with update")
      let draws = try resizing.rules().contains { $0.mode == .reinitialize }
      use.decide(
        ["seed"], if: draws, otherwise: "only --resize KEY=reinit draws numbers in an update")
    } else if method == "lora" {
      use.refuse(
        ["base", "layers", "to-dtype"] + parameters.filter { $0 != "scale" },
        because: "--method lora does not take it")
      use.decide("scale")
      declareSeed(false, method, in: &use)
    } else if let kind = MergeMethod(name: method) {
      use.decide(parameters)
      let taken = Set(kind.parameters)
      let known = MergingOptions.parameters.filter { taken.contains($0.parameter) }
      use.refuse(
        MergingOptions.parameters.filter { !taken.contains($0.parameter) }.map(\.option),
        because: "\(kind.name) "
          + (known.isEmpty
            ? "has no parameters"
            : "takes " + known.map { "--\($0.option)" }.joined(separator: ", ")))
      if kind == .nuslerp {
        use.decide(
          ["nuslerp-row-wise"], if: merging.nuslerpFlatten == false,
          otherwise: "a flattened tensor has no rows; it goes with --no-nuslerp-flatten")
      }
      use.decide(
        ["base"], if: kind.baseUse != .ignored,
        otherwise: "\(kind.name) has no base; name all files in a row")
      use.decide(
        ["other-at"], if: files.count > 1 || merging.base != nil,
        otherwise: "there is no other file")
      declareLayers(merging.goesOverLayers, in: &use)
      declareSeed(kind.isRandom, kind.name, in: &use)
    }
  }

  private func declareLayers(_ matter: Bool, in use: inout OptionUse) {
    use.decide(["layers"], if: matter, otherwise: "no value goes over the layers, as 0:1 does")
  }

  private func declareSeed(_ draws: Bool, _ method: String, in use: inout OptionUse) {
    use.decide(["seed"], if: draws, otherwise: "\(method) draws no numbers")
  }

  /// The file whose format is used for the output if its name does not determine one.
  private func firstInput(_ inputs: OpenInputs) throws -> String? {
    try recipePath.map { try inputs.recipe($0).models.first } ?? files.first
  }
}
