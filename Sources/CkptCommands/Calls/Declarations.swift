internal import ArgumentParser
internal import StateDictKit

// Declarations of the effects of all options, command by command. An option without a declaration
// cannot be used.

extension ListCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide("at", "optimizer")
    use.decide(
      SelectionOptions.names, if: !optimizer,
      otherwise: "--optimizer lists all that the optimizers keep")
  }
}

extension ShowCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide("record")
    use.decide(
      ["at", "depth", "limit", "optimizer"], if: record == nil,
      otherwise: "--record prints a record")
  }
}

extension KeyEditingCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("at")
    use.decide(SelectionOptions.names)
    // Options that rename are rejected by filter when it runs, with a suggestion.
    use.decide(RenameOptions.names)
    use.decide(
      ["optimizer"], if: !output.extract, otherwise: "--extract writes the state dict alone")
    try output.declare(in: &use, keepingFormatOf: file)
  }
}

extension RewriteCommand: PlannedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    try output.declare(in: &use, keepingFormatOf: file)
  }
}

extension CheckCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide("against", "model", "at", "min-loaded", "exact-dtype")
    use.decide(SelectionOptions.names)
    use.decide(RenameOptions.names)
    use.decide(["against-at"], if: against != nil, otherwise: "it belongs to --against")
    use.decide(["loaded"], if: !common.json, otherwise: "--json lists all keys")
  }
}

extension RecipesCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide(
      ["yaml"], if: names.isEmpty && !common.json,
      otherwise: "it prints all recipes, and no JSON; leave out names and --json")
  }
}

extension GetCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) { use.decide("at") }
}

extension SetCommand: PlannedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("at", "value")
    try output.declare(in: &use, keepingFormatOf: file)
  }
}

extension DropCommand: PlannedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("at")
    try output.declare(in: &use, keepingFormatOf: file)
  }
}

extension ScanCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) { use.decide("fail-on", "allow", "sarif") }
}

extension VerifyCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide("manifest", "lfs")
    use.decide(
      ["model", "dump", "at"] + RenameOptions.names, if: manifest == nil && lfs == nil,
      otherwise: "the file's bytes are compared with what is recorded for them")
    use.decide(
      ["steps", "seed"], if: model != nil && dump == nil,
      otherwise: model == nil
        ? "without --model nothing is run" : "--dump computes with the file's own tensors")
  }
}

extension RepairCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("partial", "unverified")
    // Damaged files mostly cannot be opened.
    let isReadable = (try? use.inputs.format(of: file)) != nil
    try output.declare(in: &use, keepingFormatOf: isReadable ? file : nil)
  }
}

extension StatsCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide("at", "html")
    use.decide(SelectionOptions.names)
  }
}

extension DiffCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide("at", "other-at", "rtol", "atol", "equal-nan", "ignore-dtype", "html")
    use.decide(SelectionOptions.names)
    use.decide(["limit"], if: !common.json, otherwise: "--json lists all tensors")
  }
}

extension HashCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) {
    use.decide("manifest")
    use.decide(
      ["at", "each"] + SelectionOptions.names, if: !manifest,
      otherwise: "a manifest has all files and all tensors")
    use.decide(["output"], if: manifest, otherwise: "only a manifest is written")
  }
}

extension CompactCommand: PlannedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    try output.declare(in: &use, keepingFormatOf: file)
  }
}

extension ConvertCommand: PlannedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("to-dtype")
    use.decide(SelectionOptions.names)
    use.decide(CastOptions.names, if: toDtype != nil, otherwise: "only --to-dtype casts")
    let format = try output.declare(in: &use, keepingFormatOf: file)
    use.decide(
      ["at"],
      if: toDtype != nil || !selection.isEverything || output.extract || format.holdsTensorsAlone,
      otherwise: "all that the file holds is written; --extract writes the state dict alone")
  }
}

extension FoldCommand: PlannedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("at")
    use.decide(SelectionOptions.names)
    try output.declare(in: &use, keepingFormatOf: file)
  }
}

extension ShardCommand: PlannedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("at")
    try folderOutput.declare(in: &use, keepingFormatOf: file)
  }
}

extension JoinCommand: CheckedCommand {
  func declareOptions(_ use: inout OptionUse) throws {
    use.decide("index-only")
    try output.declare(in: &use, keepingFormatOf: file)
    if indexOnly {
      use.refuse(
        ["format", "plain", "max-size", "job", "ties", "no-carry"],
        because: "--index-only writes an index of the shards as they are")
    }
  }
}

extension PlanCommand: CheckedCommand {
  // Its options are those of another command, which declares them.
  func declareOptions(_ use: inout OptionUse) {}
}
