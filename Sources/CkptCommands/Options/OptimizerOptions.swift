internal import CkptText
internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// Options for optimizer states when keys of the model change.
struct OptimizerOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Let optimizers' states follow the keys: params=auto, params=FILE, PATH=auto or PATH=FILE.",
      discussion: """
        auto takes the parameters' names from the file itself, if they are certain; FILE is a checkpoint of \
        the model, or a text file with a key a line (or a JSON list) in the optimizer's order. params=auto \
        leaves alone what can only be another state dict's, and is refused where an optimizer may as well be \
        another's; PATH=auto (repeatable) says that the optimizer's state at PATH is this one's. keep leaves \
        all as they are and does not warn.
        """))
  var optimizer: [String] = []

  enum Choice {
    case warn, keep
    /// All states that belong to the state dict are adapted.
    case follow(ParameterNameSource)
    /// The states at these paths are adapted, whatever model they belong to; others are unchanged.
    case these([(path: String, names: ParameterNameSource)])
  }

  func choice() throws -> Choice {
    var these: [(path: String, names: ParameterNameSource)] = []
    for written in optimizer {
      if written == "keep" || written.hasPrefix("params="), optimizer.count > 1 {
        throw UsageError(
          description: "--optimizer \(written) is about all optimizers, and is given alone")
      }
      if written == "keep" { return .keep }
      guard let (path, source) = Self.parts(written) else {
        throw UsageError(
          description:
            "--optimizer takes keep, params=auto, params=FILE, PATH=auto or PATH=FILE, not \"\(written)\""
        )
      }
      let names = try source == "auto" ? .checkpoint : Self.names(from: source)
      if path == "params" { return .follow(names) }
      guard !these.contains(where: { $0.path == path }) else {
        throw UsageError(description: "--optimizer \(path)=… is given twice")
      }
      these.append((path, names))
    }
    return these.isEmpty ? .warn : .these(these)
  }

  /// The parts before and after the first `=` that is not escaped by `\`.
  private static func parts(_ written: String) -> (path: String, source: String)? {
    var path = ""
    var rest = Substring(written)
    while let scalar = rest.unicodeScalars.popFirst() {
      if scalar == "\\", rest.unicodeScalars.first == "=" {
        path.unicodeScalars.append("=")
        rest.unicodeScalars.removeFirst()
      } else if scalar == "=" {
        return path.isEmpty || rest.isEmpty ? nil : (path, String(rest))
      } else {
        path.unicodeScalars.append(scalar)
      }
    }
    return nil
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
          guard case .array(let items)? = try? JSONValue(parsing: text) else {
            throw InputError(description: "is no JSON list of names (\(path))")
          }
          return .names(
            try items.map { item in
              guard case .string(let name) = item else {
                throw InputError(description: "is no JSON list of names (\(path))")
              }
              return name
            })
        }
        return .names(text.split(whereSeparator: \.isNewline).map(String.init))
      }
    }
    return .model(try Checkpoint(file).chosenStateDict(nil))
  }

  /// Adapts the optimizer states, or prints warnings about those that no longer match.
  ///
  /// - Parameter place: the path of `model`.
  func apply(
    to checkpoint: inout Checkpoint, _ report: KeyReport, of model: StateDict, at place: String
  ) throws -> [OptimizerEdit] {
    switch try choice() {
    case .keep: return []
    case .follow(let source):
      guard !checkpoint.optimizerPaths().isEmpty else {
        throw UsageError(
          description: "--optimizer decides nothing here: there is no optimizer's state "
            + "(\(checkpoint.path))")
      }
      if case .checkpoint = source {
        for owners in try checkpoint.optimizerOwners(of: model, at: place)
        where !owners.mayBeAsked && !owners.others.isEmpty {
          Messages.write(
            Messages.line(
              "ckpt: the optimizer's state at \(owners.path) is that of "
                + "\(Self.list(owners.others)), and stays as it is"))
        }
      }
      return try checkpoint.letOptimizersFollow(report, of: model, at: place, names: source)
    case .these(let chosen):
      var result = checkpoint
      let edits = try chosen.map { path, names in
        try result.letOptimizer(at: path, follow: report, of: model, names: names)
      }
      let paths = Set(chosen.map(\.path))
      for impact in try checkpoint.optimizersLeftBehind(by: report, of: model, at: place)
      where !paths.contains(impact.path) && impact.others.isEmpty {
        Messages.warn(Self.warning(impact))
      }
      checkpoint = result
      return edits
    case .warn:
      try Self.warnOfThoseLeftBehind(checkpoint, report, of: model, at: place)
      return []
    }
  }

  /// Prints warnings about optimizer states that are not adapted to the keys.
  static func warnOfThoseLeftBehind(
    _ checkpoint: Checkpoint, _ report: KeyReport, of model: StateDict, at place: String
  ) throws {
    for impact in try checkpoint.optimizersLeftBehind(by: report, of: model, at: place) {
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
    if !impact.others.isEmpty {
      return
        "the optimizer's state at \(impact.path) stays as it is: its parameters may as well be those of "
        + "\(list(impact.others)); if they are this state dict's, it \(what), and "
        + "--optimizer \(impact.path)=\(known) re-indexes it"
    }
    return "the optimizer's state at \(impact.path) does not follow: it \(what); "
      + "--optimizer params=\(known) re-indexes it"
  }

  private static func list(_ places: [String]) -> String {
    places.prefix(4).joined(separator: ", ")
      + (places.count > 4 ? " and \(places.count - 4) more" : "")
  }
}
