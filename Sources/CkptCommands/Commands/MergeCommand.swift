internal import ArgumentParser
internal import StateDictKit

struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Make one checkpoint of several: one replaces parts of another, or all are computed.",
    discussion:
      "By default the selected keys of OTHER take the place of BASE's, as dict.update does. "
      + "docs/merging.md explains the other methods, and mergekit's recipes: --config FILE.yml, or FILE.yml alone."
  )

  @Argument(help: "BASE, then the others; what is no tensor comes from BASE. None with --config.")
  var files: [String] = []

  @Option(help: "update, lora, or one of mergekit's, such as linear, slerp, ties, dare-ties.")
  var method = "update"
  @Option(help: "Carry out a recipe of mergekit's: a YAML file.") var config: String?
  @Option(help: "Where in BASE the state dict is: keys joined by /.") var at: String?
  @Option(help: "Where in each OTHER the state dict is.") var otherAt: String?
  @Flag(help: "Take keys that BASE lacks, too.") var allowNew = false
  @Flag(help: "Keep BASE's value where the shapes differ.") var skipMismatched = false
  @OptionGroup(title: "Which keys of OTHER") var selection: SelectionOptions
  @OptionGroup(title: "What they are called in BASE") var renames: RenameOptions
  @OptionGroup var recipes: RecipeOptions
  @OptionGroup(title: "What of another shape is made to fit") var resizing: ResizeOptions
  @OptionGroup(title: "What methods other than update are told") var merging: MergingOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  /// The path of a mergekit recipe, given by its option or as the only file; nil if there is none.
  var recipePath: String? {
    if let config { return config }
    guard files.count == 1, let only = files.first else { return nil }
    return only.hasSuffix(".yml") || only.hasSuffix(".yaml") ? only : nil
  }

  func validate() throws {
    if config != nil, !files.isEmpty {
      throw ValidationError("--config names the files itself")
    }
    guard recipePath == nil else { return }
    guard method == "update" else { return try validateComputed() }
    guard files.count >= 2 else {
      throw ValidationError(
        "merge needs BASE and at least one OTHER\n--config FILE.yml is a recipe of mergekit's")
    }
  }

  func planned(_ inputs: OpenInputs) throws -> PlannedOutput {
    if let recipePath { return try plannedRecipe(recipePath, inputs) }
    return switch method {
    case "update": try plannedUpdate(inputs)
    case "lora": try plannedLowRank(inputs)
    default: try plannedMerge(inputs)
    }
  }
}
