internal import CkptPatterns
internal import CkptStateDicts

/// A regular expression over modules' names, as peft passes it to Python's `re.match`.
struct ModulePattern: Sendable {
  private let expression: KeyRegex

  /// Compiles an expression that begins with `^`.
  init(_ text: String) throws(PatternError) { expression = try KeyRegex(text) }

  /// Whether it matches from the name's start on.
  func matches(_ module: String) -> Bool { expression.isFound(in: module) }

  /// The number that the first group matched.
  func number(in module: String) -> Int? {
    let scalars = Array(module.unicodeScalars)
    guard let group = expression.firstMatch(in: scalars)?.dropFirst().first, let group else {
      return nil
    }
    return Int(String(String.UnicodeScalarView(scalars[group])))
  }
}

/// Which modules a configuration adapts, as `check_target_module_exists` finds them in peft.
///
/// peft leaves out what a file holds for other modules; a merge must not do so silently.
struct ModuleTargets: Sendable {
  /// How modules are named.
  enum Names: Sendable {
    /// By their names or how these end.
    case tails([String])
    /// By an expression for whole names.
    case pattern(ModulePattern)

    func contains(_ module: String) -> Bool {
      switch self {
      case .tails(let tails): tails.contains { module == $0 || module.hasSuffix("." + $0) }
      case .pattern(let pattern): pattern.matches(module)
      }
    }
  }

  /// `target_modules`; nil: not told, or by the type of module.
  var targets: Names?
  /// `ensure_weight_tying`: modules whose weights are tied to those of targets are adapted, too, and not told.
  var hasTied = false
  /// `exclude_modules`.
  var excluded: Names?
  /// `modules_to_save`.
  var saved: [ModulePattern] = []
  /// `layers_to_transform`; empty: all.
  var layers: [Int] = []
  /// `layers_pattern`; empty: any module with a number behind it.
  var layerPatterns: [ModulePattern] = []

  /// The field that leaves a module out, if one does.
  func fieldWithout(_ module: String) throws -> String? {
    if excluded?.contains(module) == true { return "exclude_modules" }
    if saved.contains(where: { $0.matches(module) }) { return "modules_to_save" }
    guard let targets else { return nil }
    guard targets.contains(module) else { return hasTied ? nil : "target_modules" }
    // A module that is named in full is adapted in any layer.
    guard case .tails(let tails) = targets, !tails.contains(module), !layers.isEmpty else {
      return nil
    }
    let patterns =
      layerPatterns.isEmpty
      ? [try ModulePattern("^.*?\\.[^.]*\\.(\\d+)\\.")] : layerPatterns
    let layer = patterns.lazy.compactMap { $0.number(in: module) }.first
    if layer.map(layers.contains) == true { return nil }
    return layerPatterns.isEmpty
      ? "layers_to_transform" : "layers_to_transform (with layers_pattern)"
  }
}
