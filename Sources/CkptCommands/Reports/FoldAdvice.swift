internal import CkptText
internal import StateDictKit

/// A weight that is computed from several keys, as `check` shows it.
struct ComputedWeight: Encodable {
  let key, kind, family: String
  let parts: [String]
  let foldable: Bool
  let obstacle: String?

  init(_ weight: DerivedWeight) {
    key = weight.key
    kind = weight.kind.rawValue
    family = weight.family
    parts = weight.parts
    foldable = weight.isFoldable
    obstacle = weight.obstacle
  }

  /// What it is computed from, and what stands in the way, for people.
  var text: String {
    "\(family): " + parts.map { Messages.line($0) }.joined(separator: ", ")
      + (obstacle.map { "; \($0)" } ?? "")
  }
}

/// What `check` says where more would load if weights that are computed from several keys were plain.
struct FoldAdvice: Encodable {
  /// The command that makes them plain.
  let command: String
  /// The command after it that fits the keys, if they need it.
  let next: String?
  let loadable: Bool
  let loaded_share: Double

  /// Nil unless folding lets more load than the best without it.
  ///
  /// - Parameters:
  ///   - computed: the weights that the model does not have in the same parts.
  ///   - best: what loads without folding.
  init?(
    _ file: String, at: String?, _ stateDict: StateDict, _ computed: [DerivedWeight],
    toFit reference: StateDict, report best: LoadReport
  ) throws {
    guard computed.contains(where: { $0.kind != .quantized }) else { return nil }
    // Weights that cannot be folded stay as they are: the command says so, too.
    var left = Set(computed.filter { !$0.isFoldable }.map(\.key))
    let folded: StateDict
    do {
      folded = try stateDict.folding { key, _ in !left.contains(key) }.stateDict
    } catch let error as DerivedWeightError {
      left.formUnion(error.weights.map(\.key))
      folded = try stateDict.folding { key, _ in !left.contains(key) }.stateDict
    }
    var report = try folded.validate(against: reference, strict: best.isStrict)
    var next: String?
    let more =
      report.isLoadable
      ? []
      : try CheckCommand.suggestions(for: folded, toFit: reference, strict: best.isStrict)
    // Where several places fit equally, nothing tells which is meant.
    if more.count == 1, let found = more.first {
      report = found.report
      let words = ["ckpt", "rename-keys", "folded.pt"] + found.arguments + ["-o", "renamed.pt"]
      next = Shell.line(words)
    }
    guard report.loaded.count > best.loaded.count || report.isLoadable && !best.isLoadable else {
      return nil
    }
    let excluded = left.sorted().flatMap { ["--exclude", "is:" + $0] }
    let words =
      ["ckpt", "fold", file] + (at.map { ["--at", $0] } ?? []) + excluded + ["-o", "folded.pt"]
    command = Shell.line(words)
    self.next = next
    loadable = report.isLoadable
    loaded_share = report.loadedShare
  }

  func show() {
    print(
      "the model has plain weights for those that are computed here; after folding "
        + (loadable ? "all is found" : "\(percentText(loaded_share)) would be found"))
    print("  " + Messages.line(command))
    if let next { print("  " + Messages.line(next)) }
  }
}

extension StateDict {
  /// The weights that are held in parts here and otherwise in a model, of which the parts alone mean nothing.
  func weightsInParts(missingIn reference: StateDict) -> [DerivedWeight] {
    let own = Set(reference.derivedWeights.map(\.key))
    return derivedWeights.filter { weight in
      guard own.contains(weight.key) else { return true }
      return weight.parts.contains { reference.value(for: $0) == nil }
        && weight.kind != .weightNorm
    }
  }
}
