internal import Foundation
internal import ModelZoo
internal import StateDictKit
internal import TrainingCore

/// The output of `verify --json`.
struct VerifyReport: Encodable {
  struct Problem: Encodable {
    let problem: String
    let record, key: String?
  }
  let file: String
  let format: String?
  /// The kind of an archive of PyTorch that is not a checkpoint.
  let other: String?
  let intact: Bool
  let records, bytes, tensors: Int
  let without_checksum: [String]
  /// Files of a distributed checkpoint's folder that do not belong to it.
  let unused_files: [String]?
  let problems: [Problem]
  /// The models whose keys match, if no model was given.
  let models: [Match]?
  let model: Model?

  struct Match: Encodable {
    let name, prefix: String
    let matched, keys: Int
    let lacking, unexpected: [String]
    let lacks_only_head: Bool
  }

  struct Model: Encodable {
    struct Problem: Encodable {
      let kind, problem: String
      let keys: [String]
      let hint: String?
    }
    let name: String
    let hyperparameters: [String: Int]
    /// The hyperparameters with usual values, and those from config.json.
    let guessed, from_config: [String]
    let sound: Bool
    let matched, keys: Int
    let missing, unexpected: [String]
    let problems: [Problem]
    let notes: [String]
    let random_label_loss, chance, gradient_norm: Double?
    let parameters_reached, parameters: Int?
    let losses: [Double]?
  }

  init(
    file: String, _ report: IntegrityReport, _ verification: ModelVerification?,
    _ matches: [ModelMatch]
  ) {
    self.file = file
    format = report.format?.rawValue
    other = report.other?.name
    intact = report.isIntact
    records = report.recordCount
    bytes = report.byteCount
    tensors = report.tensorCount
    without_checksum = report.unrecorded
    unused_files = report.unusedFiles.isEmpty ? nil : report.unusedFiles
    problems = report.problems.map {
      Problem(problem: $0.description, record: $0.record, key: $0.key)
    }
    models =
      verification == nil
      ? matches.map {
        Match(
          name: $0.name, prefix: $0.prefix, matched: $0.matched, keys: $0.count,
          lacking: $0.lacking, unexpected: $0.unexpected, lacks_only_head: $0.lacksOnlyHead)
      } : nil
    model = verification.map { found in
      Model(
        name: found.model.name,
        hyperparameters: found.model.hyperparametersForScripts,
        guessed: found.model.guessed, from_config: found.model.configured,
        sound: found.isSound, matched: found.report.loaded.count, keys: found.keyCount,
        missing: found.report.missing, unexpected: found.report.unexpected,
        problems: found.problems.map {
          Model.Problem(
            kind: $0.kind.rawValue, problem: $0.description, keys: $0.keys,
            hint: $0.remedy?.optionText)
        }, notes: found.notes, random_label_loss: found.run?.lossOfRandomLabels,
        chance: found.run?.chance, gradient_norm: found.run?.gradientNorm,
        parameters_reached: found.run?.reached, parameters: found.run?.parameters,
        losses: found.run?.losses)
    }
  }
}

extension ZooModel {
  /// The hyperparameters as text, with usual values marked.
  var sizesForPeople: String {
    let shown = Set(hyperparameters.map(\.name))
    let sizes = hyperparameters.map {
      "\($0.name) \($0.value)"
        + (guessed.contains($0.name) ? " (guessed)" : "")
        + (configured.contains($0.name) ? " (by config.json)" : "")
    }
    let others = guessed.filter { !shown.contains($0) }
    return (sizes + (others.isEmpty ? [] : ["guessed: " + others.joined(separator: ", ")]))
      .joined(separator: ", ")
  }

  /// The hyperparameters with names in snake case.
  var hyperparametersForScripts: [String: Int] {
    Dictionary(
      hyperparameters.map { ($0.name.replacingOccurrences(of: " ", with: "_"), $0.value) },
      uniquingKeysWith: { first, _ in first })
  }
}

extension ModelVerification {
  /// Prints the report as text.
  func show() {
    func number(_ value: Double) -> String { String(format: "%.4g", value) }
    print("model: \(model.name) (\(model.sizesForPeople))")
    print("keys: \(report.loaded.count) of \(keyCount) matched")
    if let run {
      var forward = "forward: "
      if let loss = run.lossOfRandomLabels, let chance = run.chance {
        forward += "finite; loss of random labels \(number(loss)), chance is \(number(chance))"
      } else {
        forward += run.losses.isEmpty ? "not finite" : "finite"
      }
      print(forward)
      if !run.losses.isEmpty {
        print(
          "gradients: \(run.reached) of \(run.parameters) parameters reached, norm "
            + number(run.gradientNorm))
        print("loss on one batch: " + run.losses.map(number).joined(separator: " "))
      }
    } else {
      print("not run: the keys do not fit")
    }
    for note in notes { print("note: " + Messages.line(note)) }
    for problem in problems {
      var keys = problem.keys.prefix(5).joined(separator: ", ")
      if problem.keys.count > 5 { keys += ", … (\(problem.keys.count))" }
      print("off: " + Messages.line((keys.isEmpty ? "" : keys + ": ") + problem.description))
      if let hint = problem.remedy?.optionText { print("  " + Messages.line(hint)) }
    }
    print(
      isSound ? "sound" : "\(problems.count) \(problems.count == 1 ? "thing is" : "things are") off"
    )
  }
}
