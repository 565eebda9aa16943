internal import CkptText
internal import CkptBytes
internal import ArgumentParser
internal import ModelZoo
internal import StateDictKit

struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check",
    abstract: "Tell what load_state_dict would say, and what it would load.",
    discussion: """
      Exit status 1 if it would not load. Selection and rename rules apply to FILE's keys first, so that \
      what is suggested can be tried.
      """)

  @Argument(help: "The checkpoint.") var file: String
  @Option(help: "A checkpoint that the model itself saved: its keys, shapes and types must be met.")
  var against: String?
  @Option(
    help:
      "Instead, a model by name, with options as in \"resnet18:classes=7\", or a description, MODEL.yml; what FILE's shapes tell of its sizes is believed."
  )
  var model: String?
  @Option(help: "Where in FILE the state dict is: keys joined by /.") var at: String?
  @Option(help: "Where in the other the state dict is.") var againstAt: String?
  @Flag(help: "As strict=False: missing and unexpected keys are no errors.") var nonStrict = false
  @Option(
    help: ArgumentHelp(
      "As --non-strict, but fail if less than this part of the model's elements is loaded: 95%.",
      valueName: "share"))
  var minLoaded: String?
  @Flag(help: "Let another dtype be an error, too; PyTorch casts.") var exactDtype = false
  @Flag(help: "List every key that is loaded.") var loaded = false
  @OptionGroup(title: "Which keys of FILE") var selection: SelectionOptions
  @OptionGroup(title: "What they are called in the model") var renames: RenameOptions
  @OptionGroup var recipes: RecipeOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (against == nil) != (model == nil) else {
      throw ValidationError("what to check against is told by either --against or --model")
    }
    if model != nil, againstAt != nil {
      throw ValidationError("--against-at belongs to --against")
    }
    _ = try minimum()
  }

  private func minimum() throws -> Double? {
    try minLoaded.map { try shareValue($0, of: "--min-loaded") }
  }

  func run() throws {
    let minimum = try minimum()
    let isStrict = !nonStrict && minimum == nil
    var spec = try model.map { try ModelSpec($0) }
    if spec != nil { spec?.options.config = try ModelConfig.beside(file) }
    let zoo = try spec.map { try ModelZoo.standard.including($0) } ?? .standard
    let other = try against.map { try Checkpoint(contentsOf: $0).chosenStateDict(againstAt) }
    let all = try Checkpoint(contentsOf: file).chosenStateDict(at)
    let rules =
      [KeyRule.step(.select(try selection.selection()))] + (try renames.keyRules(with: recipes))
    let (stateDict, keyReport) = try all.applying(all.steps(of: rules))
    try reportUnmatched(keyReport, of: file)
    try selection.checkIsNotEmpty(stateDict.count, of: all.count, in: file)
    let known = try spec.map { try zoo.reference($0, for: stateDict) }
    let reference = known?.stateDict ?? other ?? StateDict()
    let report = try stateDict.validate(against: reference, strict: isStrict, comparesTies: true)
    let isEnough = minimum.map { report.loadedShare >= $0 } ?? true
    let passes = report.isLoadable && isEnough && (!exactDtype || report.typeMismatched.isEmpty)
    let computed = stateDict.weightsInParts(missingIn: reference)
    var fold: FoldAdvice?
    var suggestions: [Suggested] = []
    // A suggestion applies to the unchanged file; with rules of the caller's own it would be wrong.
    if !passes, renames.isEmpty, recipes.recipe.isEmpty, selection.isEverything {
      suggestions = try Self.suggestions(for: all, toFit: reference, strict: isStrict)
      fold = try FoldAdvice(
        file, at: at, all, computed, toFit: reference, report: suggestions.first?.report ?? report)
      if fold != nil { suggestions = [] }
    }
    let found = CheckReport(
      file: file, against: against, model: known, at: at, passes: passes, report: report,
      minimum: minimum, suggestions: suggestions, computed: computed, fold: fold)
    if common.json {
      try printJSON(found)
    } else {
      found.show(stateDict, reference, listsLoaded: loaded)
    }
    if !passes { throw NegativeAnswer() }
  }
}

/// Options with which more keys would load.
struct Suggested {
  /// The module whose keys are selected.
  var place = ""
  let arguments: [String]
  let report: LoadReport
}

extension CheckCommand {
  /// The options with which the most keys would load: rename rules, or a recipe if it is better.
  /// Several if several modules of the state dict fit equally well.
  static func suggestions(
    for stateDict: StateDict, toFit reference: StateDict, strict: Bool
  ) throws -> [Suggested] {
    let renames = try stateDict.suggestedRenames(toFit: reference, strict: strict)
    let places = renames.map { [$0] + $0.alternatives } ?? []
    let found = places.map {
      Suggested(place: $0.position, arguments: $0.arguments, report: $0.report)
    }
    // If several modules fit, a recipe would select one of them by its name.
    if found.count > 1 || renames?.report.isLoadable == true { return found }
    if let (recipe, report) = try stateDict.suggestedRecipe(toFit: reference, strict: strict),
      report.isLoadable || report.loaded.count > renames?.report.loaded.count ?? 0
    {
      return [Suggested(arguments: ["--recipe", recipe.name], report: report)]
    }
    return found
  }
}

/// The report of `check`, as JSON and as text.
private struct CheckReport: Encodable {
  struct Mismatch: Encodable {
    let key: String
    let expected, found: [Int]?
  }
  struct TypeMismatch: Encodable {
    let key, expected, found: String
    let refused: Bool
  }
  struct Tie: Encodable {
    let keys: [String]
    let values_differ: Bool?
  }
  struct Suggestion: Encodable {
    /// The module whose keys are selected.
    let place: String
    let arguments: [String]
    let command: String
    let loadable: Bool
    let loaded_share: Double
  }

  struct ClassMismatch: Encodable {
    let key, expected, found: String
  }

  struct Model: Encodable {
    let name, sizes: String
    let hyperparameters: [String: Int]
    let guessed, from_config: [String]
  }

  let file: String
  let against: String?
  let model: Model?
  let strict, loadable, passed: Bool
  let matched: Int
  let loaded, missing, unexpected: [String]
  let mismatched: [Mismatch]
  let class_mismatched: [ClassMismatch]
  let dtype_mismatched: [TypeMismatch]
  let defaulted, missing_but_tied: [String]
  let ties_broken: [Tie]
  let loaded_elements, expected_elements: Int
  let loaded_share: Double
  let min_loaded: Double?
  /// The options that would help; nil if there are none or several.
  let suggestion: Suggestion?
  let computed: [ComputedWeight]
  let fold: FoldAdvice?
  /// The options that would help equally well, if several modules of the file fit.
  let places: [Suggestion]

  private enum CodingKeys: String, CodingKey {
    case file, against, model, strict, loadable, passed, matched, loaded, missing, unexpected,
      mismatched
    case class_mismatched
    case dtype_mismatched, defaulted, missing_but_tied, ties_broken, loaded_elements
    case expected_elements, loaded_share, min_loaded, suggestion, places, computed, fold
  }

  private let report: LoadReport
  private let known: ModelReference?

  init(
    file: String, against: String?, model known: ModelReference?, at: String?, passes: Bool,
    report: LoadReport, minimum: Double?, suggestions: [Suggested], computed: [DerivedWeight],
    fold: FoldAdvice?
  ) {
    self.computed = computed.map(ComputedWeight.init)
    self.fold = fold
    self.report = report
    self.known = known
    self.file = file
    self.against = against
    model = known.map {
      Model(
        name: $0.model.name, sizes: $0.sizes.rawValue,
        hyperparameters: $0.model.hyperparametersForScripts, guessed: $0.model.guessed,
        from_config: $0.model.configured)
    }
    strict = report.isStrict
    loadable = report.isLoadable
    passed = passes
    matched = report.loaded.count
    loaded = report.loaded
    missing = report.missing
    unexpected = report.unexpected
    mismatched = report.mismatched.map {
      Mismatch(key: $0.key, expected: $0.expected, found: $0.found)
    }
    class_mismatched = report.classMismatched.map {
      ClassMismatch(key: $0.key, expected: $0.expected, found: $0.found)
    }
    dtype_mismatched = report.typeMismatched.map {
      TypeMismatch(
        key: $0.key, expected: $0.expected.name, found: $0.found.name, refused: $0.isRefused)
    }
    defaulted = report.defaulted
    missing_but_tied = report.missingButTied
    ties_broken = report.brokenTies.map { Tie(keys: $0.keys, values_differ: $0.valuesDiffer) }
    loaded_elements = report.loadedElements
    expected_elements = report.expectedElements
    loaded_share = report.loadedShare
    min_loaded = minimum
    let all = suggestions.map { found in
      let place = at.map { ["--at", $0] } ?? []
      // Without renaming, filter suffices.
      let isFilter = found.arguments.allSatisfy { !$0.hasPrefix("--") || $0.hasSuffix("clude") }
      let command = isFilter ? "filter" : "rename-keys"
      let words = ["ckpt", command, file] + place + found.arguments + ["-o", "renamed.pt"]
      return Suggestion(
        place: found.place, arguments: found.arguments,
        command: Shell.line(words),
        loadable: found.report.isLoadable, loaded_share: found.report.loadedShare)
    }
    suggestion = all.count == 1 ? all.first : nil
    places = all.count > 1 ? all : []
  }

  func show(_ stateDict: StateDict, _ reference: StateDict, listsLoaded: Bool) {
    if let known { print(Messages.line(known.text)) }
    if listsLoaded {
      for key in loaded { print("loaded  \(Messages.line(key))") }
      if !loaded.isEmpty { print("") }
    }
    var rows: [[String]] = []
    func add(_ kind: String, _ groups: [ModuleGroup]) {
      for group in groups {
        let count = group.keys.count
        if count == 1 || !group.isWholeModule && count <= 4 {
          for key in group.keys { rows.append([kind, Messages.line(key), ""]) }
        } else {
          let note = "\(count) keys" + (group.isWholeModule ? ", the whole module" : "")
          rows.append([kind, Messages.line(group.name), note])
        }
      }
    }
    if !listsLoaded { add("loaded", reference.moduleGroups(of: loaded)) }
    add("missing", reference.moduleGroups(of: missing))
    add("unexpected", stateDict.moduleGroups(of: unexpected))
    for mismatch in mismatched {
      let shapes = [mismatch.found, mismatch.expected].map { $0.map { "\($0)" } ?? "no tensor" }
      rows.append(["mismatched", Messages.line(mismatch.key), "\(shapes[0]) for \(shapes[1])"])
    }
    for mismatch in class_mismatched {
      rows.append([
        "class", Messages.line(mismatch.key),
        Messages.line("\(mismatch.found) for \(mismatch.expected)"),
      ])
    }
    var casts: [String: [TypeMismatch]] = [:]
    for cast in dtype_mismatched {
      let how = "\(cast.found) for \(cast.expected)" + (cast.refused ? ", refused" : ", is cast")
      casts[how, default: []].append(cast)
    }
    for (how, all) in casts.sorted(by: { $0.key < $1.key }) {
      rows.append(
        ["dtype", all.count == 1 ? Messages.line(all[0].key) : "\(all.count) keys", how])
    }
    add("filled in", reference.moduleGroups(of: defaulted))
    for tie in ties_broken {
      let note = tie.values_differ == true ? "differ: the last one wins" : "equal, but two tensors"
      rows.append(["tie broken", tie.keys.map { Messages.line($0) }.joined(separator: " = "), note])
    }
    for weight in computed { rows.append(["computed", Messages.line(weight.key), weight.text]) }
    Table.print(rows)
    if !rows.isEmpty { print("") }
    print(summary())
    for key in missing_but_tied {
      print("\(Messages.line(key)) is missing, but tied to a loaded key")
    }
    if let fold { fold.show() }
    if let suggestion {
      let percent = percentText(suggestion.loaded_share)
      print(
        "add \(Shell.line(suggestion.arguments)): "
          + (suggestion.loadable ? "then it loads" : "then \(percent) would be found"))
      print("  " + Messages.line(suggestion.command))
    }
    guard !places.isEmpty else { return }
    print("\(places.count) places fit equally; nothing tells which is meant, so none is chosen:")
    for place in places {
      let share = place.loadable ? "all" : percentText(place.loaded_share)
      print(
        "  \(Messages.line(place.place.isEmpty ? "the root" : place.place)): \(share) would be found"
      )
      print("    " + Messages.line(place.command))
    }
  }

  private var expectedCount: Int {
    loaded.count + missing.count + mismatched.count + class_mismatched.count + defaulted.count
  }

  private func summary() -> String {
    let counts = [
      (missing.count, "missing"), (unexpected.count, "unexpected"),
      (mismatched.count, "mismatched"), (class_mismatched.count, "of another class"),
    ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    var text = passed ? "loadable" : loadable ? "loadable, but not enough" : "not loadable"
    if loadable, !passed, (min_loaded ?? 0) <= loaded_share { text = "loadable, but by casts" }
    text += strict ? "" : " with strict=False"
    if !counts.isEmpty { text += " (" + counts.joined(separator: ", ") + ")" }
    return text
      + ": \(loaded.count) of \(expectedCount) "
      + "keys are loaded, \(percentText(loaded_share)) of \(expected_elements) elements"
  }
}

extension ModelReference {
  /// The model and its sizes as text.
  fileprivate var text: String {
    let sizes = model.sizesForPeople
    let source =
      switch self.sizes {
      case .inferred: ""
      case .inferredBehindPrefix: "; inferred behind a prefix"
      case .published: "; as published, since the file does not tell"
      }
    return "model: \(model.name) (\(sizes)\(source))"
  }
}

/// A fraction as text; 100 % only if it is exactly 1.
func percentText(_ share: Double) -> String {
  guard share < 1, share > 0 else { return share >= 1 ? "100 %" : "0 %" }
  let tenths = min(max(Int(saturating: (share * 1000).rounded()), 1), 999)
  return "\(tenths / 10).\(tenths % 10) %"
}
