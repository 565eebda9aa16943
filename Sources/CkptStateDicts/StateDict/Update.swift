internal import CkptText
internal import CkptTensors
internal import OrderedCollections

/// The changes of ``StateDict/update(with:allowNew:skipMismatched:resizing:seed:)``.
public struct UpdateReport: Sendable {
  /// The keys whose value was replaced, in the other's order.
  public var replaced: [String] = []
  /// The keys that were added.
  public var added: [String] = []
  /// The keys that were not replaced because the other value has another shape.
  public var skipped: [ShapeMismatch] = []
  /// The tensors that were resized.
  public var resized: [Resized] = []
  /// The resize rules that no key here has anything to do with.
  public var unmatched: [KeyReport.Unmatched] = []
  /// The groups of keys that were tied before and are not any more.
  public var brokenTies: [[String]] = []

  /// An empty report.
  public init() {}
}

extension StateDict {
  /// Replaces values by those of `other`, as Python's `dict.update` does.
  ///
  /// `model_dict.update(pretrained)` is `modelDict.update(with: pretrained)`, except that nothing
  /// happens where the keys or shapes do not fit.
  /// - Parameters:
  ///   - allowNew: whether keys that are not here yet are taken; they come last.
  ///   - skipMismatched: whether values of a different shape are skipped instead of being an error.
  ///   - rules: which values of another shape are made to fit, and how; see
  ///     ``resized(toFit:_:seed:)``.
  ///   - seed: what fresh values depend on.
  /// - Throws: `StateDictError.cannotUpdate` with everything that stands in the way; `ResizeError`;
  ///   `DerivedWeightError.splits` where a weight is held in parts, here or afterwards, and only
  ///   some of them would be the other's.
  @discardableResult
  public mutating func update(
    with other: StateDict, allowNew: Bool = false, skipMismatched: Bool = false,
    resizing rules: [ResizeRule] = [], seed: UInt64 = 0
  ) throws -> UpdateReport {
    var report = UpdateReport()
    let other = try fitted(other, rules, seed, &report)
    var result = self
    var missing: [String] = []
    for (key, value) in other.entries {
      guard let own = entries[key] else {
        if allowNew { report.added.append(key.text) } else { missing.append(key.text) }
        result.entries[key] = value
        continue
      }
      let (mine, theirs) = (TensorSurface(own), TensorSurface(value))
      guard mine?.shape == theirs?.shape, (mine == nil) == (theirs == nil) else {
        report.skipped.append(
          ShapeMismatch(key: key.text, expected: mine?.shape, found: theirs?.shape))
        continue
      }
      report.replaced.append(key.text)
      result.entries[key] = value
    }
    guard missing.isEmpty, report.skipped.isEmpty || skipMismatched else {
      throw StateDictError.cannotUpdate(
        missing: missing, mismatched: skipMismatched ? [] : report.skipped)
    }
    let taken = report.replaced + report.added
    let split = NumberGate(self).weightsSplit(by: taken)
    let mixed = NumberGate(result).weightsSplit(by: taken).filter { !split.contains($0) }
    guard split.isEmpty, mixed.isEmpty else { throw DerivedWeightError.splits(split + mixed) }
    report.brokenTies = tiesBroken(in: result)
    result.addMetadata(from: other, for: report.added)
    self = result
    return report
  }

  /// The other's values, made to fit where a rule says how.
  private func fitted(
    _ other: StateDict, _ rules: [ResizeRule], _ seed: UInt64, _ report: inout UpdateReport
  ) throws -> StateDict {
    guard !rules.isEmpty else { return other }
    let (result, resized, unmatched) = try other.resized(toFit: self, rules, seed: seed)
    report.resized = resized
    report.unmatched = unmatched
    return result
  }

  /// Takes over the entries of modules that came with new keys.
  private mutating func addMetadata(from other: StateDict, for added: [String]) {
    guard let own = metadata, let theirs = other.metadata, !added.isEmpty else { return }
    let known = Set(own.map { ExactText($0.module) })
    var wanted = Set<ExactText>()
    for key in added {
      for module in ExactText(key).modules { wanted.insert(ExactText(module)) }
    }
    metadata =
      own
      + theirs.filter {
        wanted.contains(ExactText($0.module)) && !known.contains(ExactText($0.module))
      }
  }
}
