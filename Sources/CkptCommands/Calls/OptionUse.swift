internal import ArgumentParser

/// A command that says which of its options decide something in the call at hand.
///
/// Nothing that a user gave is ignored: an option that was given and is not declared to decide something is a
/// usage error. An option that is declared nowhere cannot be used at all, so that none can be forgotten.
protocol CheckedCommand: ParsableCommand {
  /// Declares every option of the command: those that decide something in this call, and why others do not.
  func declareOptions(_ use: inout OptionUse) throws
}

/// Which options of a command decide something in one call.
struct OptionUse {
  /// What an option is for in a call.
  enum Role: Equatable {
    case deciding
    /// It decides nothing; the text says why, as the end of a sentence.
    case idle(String)
  }

  private(set) var roles: [String: Role] = [:]
  /// The call's files, of which some decide what options are for.
  let inputs: OpenInputs

  /// Nothing is declared yet.
  init(_ inputs: OpenInputs) { self.inputs = inputs }

  /// Permissions and matters of output, which may be given in vain.
  static let free: Set = [
    "json", "no-progress", "color", "quiet", "help", "version",
    "force", "allow-empty", "allow-new", "drop-objects", "extract", "skip-mismatched", "dequantize",
    "keep-unmergeable", "no-verify", "dry-run", "non-strict",
  ]

  /// These decide something.
  mutating func decide(_ names: [String]) {
    for name in names { roles[name] = .deciding }
  }

  /// These decide something.
  mutating func decide(_ names: String...) { decide(names) }

  /// These decide nothing, because of `why`.
  mutating func refuse(_ names: [String], because why: String) {
    for name in names { roles[name] = .idle(why) }
  }

  /// These decide something if `condition` holds; if not, `why` says so.
  mutating func decide(_ names: [String], if condition: Bool, otherwise why: String) {
    condition ? decide(names) : refuse(names, because: why)
  }

  /// Refuses the first of the options that were given that decides nothing.
  ///
  /// - Throws: `UsageError` that names it.
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

  /// The options of which nothing is declared.
  func undeclared(of options: [CommandOption]) -> [String] {
    options.map(\.name).filter { roles[$0] == nil && !Self.free.contains($0) }
  }
}
