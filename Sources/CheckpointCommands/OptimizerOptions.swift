internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// What becomes of optimizers' states when keys of the model change.
struct OptimizerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Let optimizers' states follow the keys: params=auto or params=FILE.",
      discussion: """
        params=auto takes the parameters' names from the file itself, if they are certain; params=FILE \
        from a checkpoint of the model, or from a text file with a key a line (or a JSON list) in the \
        optimizer's order. keep leaves the states as they are and does not warn.
        """))
  var optimizer: String?

  enum Choice {
    case warn, keep
    case follow(ParameterNameSource)
  }

  func choice() throws -> Choice {
    switch optimizer {
    case nil: return .warn
    case "keep"?: return .keep
    case "params=auto"?: return .follow(.checkpoint)
    case let written?:
      guard written.hasPrefix("params="), written != "params=" else {
        throw UsageError(
          description: "--optimizer takes keep, params=auto or params=FILE, not \"\(written)\"")
      }
      return .follow(try Self.names(from: String(written.dropFirst("params=".count))))
    }
  }

  /// Reads names from a list, or from a checkpoint of the model.
  private static func names(from path: String) throws -> ParameterNameSource {
    let file = try File(readingFrom: path)
    let limit = 64 << 20
    if file.size <= limit {
      let bytes = try file.bytes(at: 0, count: file.size)
      let isText = !bytes.contains { $0 < 32 && ![9, 10, 13].contains($0) }
      if isText, let text = String(validating: bytes, as: UTF8.self), text.first != "{" {
        if text.first == "[" {
          guard let names = try? JSONDecoder().decode([String].self, from: Data(bytes)) else {
            throw InputError(description: "is no JSON list of names (\(path))")
          }
          return .names(names)
        }
        return .names(text.split(whereSeparator: \.isNewline).map(String.init))
      }
    }
    return .model(try Checkpoint(file).stateDict())
  }

  /// Lets the optimizers' states follow, or warns where they would stay behind.
  func apply(
    to checkpoint: inout Checkpoint, _ report: KeyReport, of model: StateDict
  ) throws -> [OptimizerEdit] {
    switch try choice() {
    case .keep: return []
    case .follow(let source):
      guard !checkpoint.optimizerPaths().isEmpty else {
        throw UsageError(
          description: "--optimizer decides nothing here: there is no optimizer's state "
            + "(\(checkpoint.path))")
      }
      return try checkpoint.letOptimizersFollow(report, of: model, names: source)
    case .warn:
      try Self.warnOfThoseLeftBehind(checkpoint, report, of: model)
      return []
    }
  }

  /// Warns of optimizers whose states do not follow the keys.
  static func warnOfThoseLeftBehind(
    _ checkpoint: Checkpoint, _ report: KeyReport, of model: StateDict
  ) throws {
    for impact in try checkpoint.optimizersLeftBehind(by: report, of: model) {
      Messages.warn(warning(impact))
    }
  }

  private static func warning(_ impact: OptimizerImpact) -> String {
    let what =
      impact.gone.isEmpty
      ? "records \(impact.renamed.count) names that changed"
      : "still counts \(impact.count) parameters, "
        + "and \(impact.gone.count) of the model's are gone"
    let known = if case .unknown = impact.naming { "FILE" } else { "auto" }
    return "the optimizer's state at \(impact.path) does not follow: it \(what); "
      + "--optimizer params=\(known) re-indexes it"
  }
}
