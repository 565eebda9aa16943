internal import CkptPatterns
internal import CkptStateDicts

/// A regular expression for module names, as peft passes it to Python's `re.match`.
struct ModulePattern: Sendable {
  private let expression: KeyRegex

  /// Compiles an expression that begins with `^`.
  init(_ text: String) throws(PatternError) { expression = try KeyRegex(text) }

  /// Whether the expression matches at the start of the name.
  func matches(_ module: String) -> Bool { expression.isFound(in: module) }

  /// The number that the first group matched; nil if there is none.
  func number(in module: String) -> Int? {
    let scalars = Array(module.unicodeScalars)
    guard let group = expression.firstMatch(in: scalars)?.dropFirst().first, let group else {
      return nil
    }
    return Int(String(String.UnicodeScalarView(scalars[group])))
  }
}

/// Which modules a configuration adapts, as peft's `check_target_module_exists` decides.
///
/// peft ignores what a file contains for other modules; here it is an error.
struct ModuleTargets: Sendable {
  /// How a field selects modules.
  enum Names: Sendable {
    /// By their full name or its last components.
    case tails([String])
    /// By a regular expression for full names.
    case pattern(ModulePattern)

    func contains(_ module: String) -> Bool {
      switch self {
      case .tails(let tails): tails.contains { module == $0 || module.hasSuffix("." + $0) }
      case .pattern(let pattern): pattern.matches(module)
      }
    }
  }

  /// `target_modules`; nil if not specified, or if modules are selected by type.
  var targets: Names?
  /// `ensure_weight_tying`: modules whose weights are tied to those of targets are adapted, too,
  /// without being listed.
  var hasTied = false
  /// `exclude_modules`.
  var excluded: Names?
  /// `modules_to_save`.
  var saved: [ModulePattern] = []
  /// `layers_to_transform`; empty: all.
  var layers: [Int] = []
  /// `layers_pattern`; empty: any module followed by a number.
  var layerPatterns: [ModulePattern] = []

  /// The name of the field that excludes a module; nil if the module is adapted.
  func fieldWithout(_ module: String) throws -> String? {
    if excluded?.contains(module) == true { return "exclude_modules" }
    if saved.contains(where: { $0.matches(module) }) { return "modules_to_save" }
    guard let targets else { return nil }
    guard targets.contains(module) else { return hasTied ? nil : "target_modules" }
    // A module listed by its full name is adapted in any layer.
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
