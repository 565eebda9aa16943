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

  /// The keys it is computed from, and why it cannot be folded, as text.
  var text: String {
    "\(family): " + parts.map { Messages.line($0) }.joined(separator: ", ")
      + (obstacle.map { "; \($0)" } ?? "")
  }
}

/// The suggestion of `check` if more keys would load after computing weights that are stored in
/// several parts.
struct FoldAdvice: Encodable {
  /// The command that folds them.
  let command: String
  /// The next command, which renames the keys; nil if that is not needed.
  let next: String?
  let loadable: Bool
  let loaded_share: Double

  /// Creates the suggestion; nil unless more keys would load than without folding.
  ///
  /// - Parameters:
  ///   - computed: the weights that the model does not store in the same parts.
  ///   - best: the best result without folding.
  init?(
    _ file: String, at: String?, _ stateDict: StateDict, _ computed: [DerivedWeight],
    toFit reference: StateDict, report best: LoadReport
  ) throws {
    guard computed.contains(where: { $0.kind != .quantized }) else { return nil }
    // Weights that cannot be folded are excluded in the command.
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
    // If several modules fit equally well, the choice is ambiguous.
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
  /// The weights that are stored in parts here and differently in the model, whose parts are
  /// meaningless by themselves.
  func weightsInParts(missingIn reference: StateDict) -> [DerivedWeight] {
    let own = Set(reference.derivedWeights.map(\.key))
    return derivedWeights.filter { weight in
      guard own.contains(weight.key) else { return true }
      return weight.parts.contains { reference.value(for: $0) == nil }
        && weight.kind != .weightNorm
    }
  }
}
