internal import ArgumentParser
internal import StateDictKit

struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Make one checkpoint of several: one replaces parts of another, or all are computed.",
    discussion:
      "By default the selected keys of OTHER take the place of BASE's, as dict.update does. "
      + "docs/merging.md explains the other methods.")

  @Argument(help: "BASE, then the others; what is no tensor comes from BASE. None with --recipe.")
  var files: [String] = []

  @Option(help: "update, lora, or one of mergekit's, such as linear, slerp, ties, dare-ties.")
  var method = "update"
  @Option(help: "Carry out a recipe of mergekit's: a YAML file.") var recipe: String?
  @Option(help: "Where in BASE the state dict is: keys joined by /.") var at: String?
  @Option(help: "Where in each OTHER the state dict is.") var otherAt: String?
  @Flag(help: "Take keys that BASE lacks, too.") var allowNew = false
  @Flag(help: "Keep BASE's value where the shapes differ.") var skipMismatched = false
  @OptionGroup(title: "Which keys of OTHER") var selection: SelectionOptions
  @OptionGroup(title: "What they are called in BASE") var renames: RenameOptions
  @OptionGroup(title: "What of another shape is made to fit") var resizing: ResizeOptions
  @OptionGroup(title: "What methods other than update are told") var merging: MergingOptions
  @OptionGroup var output: OutputOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if recipe != nil { return try validateRecipe() }
    guard method == "update" else { return try validateComputed() }
    guard files.count >= 2 else { throw ValidationError("merge needs BASE and at least one OTHER") }
    guard merging.given.isEmpty else {
      throw ValidationError("--\(merging.given[0]) goes with another --method than update")
    }
  }

  func run() throws {
    if let recipe { return try runRecipe(recipe) }
    switch method {
    case "update": try runUpdate()
    case "lora": try runLowRank()
    default: try runComputed()
    }
  }
}
