internal import ArgumentParser

/// A command that declares which of its options have an effect in the current call.
///
/// No option that a user gives is ignored: an option that was given and is not declared to have an
/// effect is a usage error. An option without any declaration cannot be used at all, so that no
/// declaration can be forgotten.
protocol CheckedCommand: ParsableCommand {
  /// Declares every option of the command: those with an effect in this call, and why others have
  /// none.
  func declareOptions(_ use: inout OptionUse) throws
}

/// The options of a command with their effects in one call.
struct OptionUse {
  /// The effect of an option in a call.
  enum Role: Equatable {
    case deciding
    /// It has no effect; the text gives the reason, as the end of a sentence.
    case idle(String)
  }

  private(set) var roles: [String: Role] = [:]
  /// The files of the call, on which the effects of options may depend.
  let inputs: OpenInputs

  /// Creates a value without any declarations.
  init(_ inputs: OpenInputs) { self.inputs = inputs }

  /// Permissions, and options that concern only the printed output, which may be given without
  /// effect.
  static let free: Set = [
    "json", "no-progress", "color", "quiet", "help", "version",
    "force", "allow-empty", "allow-new", "drop-objects", "extract", "skip-mismatched", "dequantize",
    "keep-unmergeable", "no-verify", "dry-run", "non-strict", "skip-bad",
  ]

  /// Declares that options have an effect.
  mutating func decide(_ names: [String]) {
    for name in names { roles[name] = .deciding }
  }

  /// Declares that options have an effect.
  mutating func decide(_ names: String...) { decide(names) }

  /// Declares that options have no effect, for the reason `why`.
  mutating func refuse(_ names: [String], because why: String) {
    for name in names { roles[name] = .idle(why) }
  }

  /// Declares that options have an effect if `condition` holds; otherwise none, for the reason
  /// `why`.
  mutating func decide(_ names: [String], if condition: Bool, otherwise why: String) {
    condition ? decide(names) : refuse(names, because: why)
  }

  /// Checks that all options that were given have an effect.
  ///
  /// - Throws: `UsageError` about the first one that has none.
  func check(_ given: [CommandCall.Given]) throws {
    for one in given where !Self.free.contains(one.option.name) {
      switch roles[one.option.name] {
      case .deciding?: continue
      case .idle(let why)?:
        throw UsageError(description: "\(one.spelling) decides nothing here: \(why)")
      case nil: throw UsageError(description: "\(one.spelling) decides nothing here")
      }
    }
  }

  /// The options without a declaration.
  func undeclared(of options: [CommandOption]) -> [String] {
    options.map(\.name).filter { roles[$0] == nil && !Self.free.contains($0) }
  }
}
