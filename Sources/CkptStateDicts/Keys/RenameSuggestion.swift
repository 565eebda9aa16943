public import CkptPatterns
internal import CkptText
internal import OrderedCollections
internal import CkptTensors

/// Key steps by which more of a state dict would load into a model.
public struct RenameSuggestion: Sendable {
  /// Which entries to keep, under their old names.
  public let selection: KeySelection
  /// The renames that follow, in order.
  public let renames: [KeyRename]
  /// The load report after the steps.
  public let report: LoadReport
  /// The module that all keys which are taken lie in, such as `student.backbone`; empty for the
  /// root.
  public let position: String
  /// The same for other keys of the state dict that fit as well, as a teacher's beside a student's.
  /// If there are any, the choice is ambiguous.
  public internal(set) var alternatives: [RenameSuggestion] = []

  /// The steps as one list.
  public var steps: [KeyStep] { [.select(selection)] + renames.map(KeyStep.rename) }
}

extension StateDict {
  /// The rename rules, and what to leave out, by which most of `reference` would be found here; nil
  /// if no consistent rule finds more than is found now.
  ///
  /// Rules are proposed by pairs of keys that differ in a prefix or in one dotted part and have the
  /// same shape; those that match most are taken, one after the other, and each is tried before it
  /// is believed.
  ///
  /// - Throws: what trying the rules throws: `StateDictError`.
  public func suggestedRenames(
    toFit reference: StateDict, strict: Bool = true
  ) throws -> RenameSuggestion? {
    let before = try validate(against: reference, strict: strict)
    guard !before.isLoadable || !before.missing.isEmpty, count <= RenameSearch.limit,
      reference.count <= RenameSearch.limit
    else { return nil }
    var (suggestion, taken) = try suggestion(toFit: reference, strict, without: [])
    guard let best = suggestion?.report, best.isLoadable || best.loaded.count > before.loaded.count
    else { return nil }
    // Keys that have the reference's own names belong to every position; only renamed ones have
    // rivals.
    while suggestion.map({ $0.alternatives.count < RenameSearch.mostPlaces - 1 }) == true {
      let (other, others) = try self.suggestion(toFit: reference, strict, without: taken)
      guard let other, !others.isEmpty,
        other.report.loaded.count >= best.loaded.count
          || strict && best.isLoadable && other.report.isLoadable
      else { break }
      suggestion?.alternatives.append(other)
      taken.formUnion(others)
    }
    return suggestion
  }

  /// The best rules if some keys are given up, and the places of the keys that they rename to fit;
  /// nil if there is nothing to do.
  private func suggestion(
    toFit reference: StateDict, _ strict: Bool, without given: Set<Int>
  ) throws -> (suggestion: RenameSuggestion?, taken: Set<Int>) {
    var search = RenameSearch(self, reference, without: given)
    search.run()
    let selection = search.selection(isStrict: strict)
    guard !search.rules.isEmpty || given.isEmpty && !selection.isEverything else {
      return (nil, [])
    }
    let steps = [KeyStep.select(selection)] + search.rules.map(KeyStep.rename)
    let (result, changes) = try applying(steps)
    let report = try result.validate(against: reference, strict: strict)
    let before = try validate(against: reference, strict: strict)
    guard try !splitsWeights(changes.kept, search.rules, reference, before, report) else {
      return (nil, [])
    }
    return (
      RenameSuggestion(
        selection: selection, renames: search.rules, report: report, position: search.position),
      search.renamed
    )
  }
}

extension StateDict {
  /// Whether weights that are computed from several keys would be torn: some parts left out, or all
  /// where the model has the plain weight, or some of the model's own parts filled and others not.
  private func splitsWeights(
    _ kept: [String], _ rules: [KeyRename], _ reference: StateDict, _ before: LoadReport,
    _ after: LoadReport
  ) throws -> Bool {
    let gate = NumberGate(self)
    guard gate.weightsSplit(by: kept).isEmpty else { return true }
    let keptKeys = Set(kept.map(ExactText.init))
    let renamers = try rules.map { try $0.renamer() }
    for weight in derivedWeights
    where !weight.parts.contains(where: { keptKeys.contains(ExactText($0)) }) {
      let plain = renamers.reduce(weight.key) { $1($0) }
      if reference.value(for: plain) != nil { return true }
    }
    let filled = NumberGate(reference)
    let torn = Set(filled.weightsSplit(by: before.loaded))
    return filled.weightsSplit(by: after.loaded).contains { !torn.contains($0) }
  }
}

/// Looks for the rules of a ``RenameSuggestion``.
private struct RenameSearch {
  /// State dicts with more keys are not searched.
  static let limit = 50_000
  /// So many places that fit equally are told, at most.
  static let mostPlaces = 8

  private let source: StateDict
  private let reference: StateDict
  private let oldKeys: [String]
  private let shapes: [[Int]?]
  private let wanted: [ExactText: [Int]?]
  /// The keys as the rules so far make them; nil for those that were given up.
  private var names: [String?]
  private(set) var rules: [KeyRename] = []

  /// - Parameter given: the places of keys that are given up from the start.
  init(_ source: StateDict, _ reference: StateDict, without given: Set<Int>) {
    self.source = source
    self.reference = reference
    oldKeys = source.keys
    shapes = source.elements.map { $0.value.tensor?.shape }
    wanted = Dictionary(
      reference.elements.map { (ExactText($0.key), $0.value.tensor?.shape) },
      uniquingKeysWith: { first, _ in first })
    names = source.keys.enumerated().map { given.contains($0.offset) ? nil : $0.element }
  }

  /// The places of keys that fit under another name than their own.
  var renamed: Set<Int> {
    Set(names.indices.filter { isMatch(names[$0], $0) && names[$0] != oldKeys[$0] })
  }

  /// The module that all renamed keys lie in, under its old name.
  var position: String { commonModule(of: renamed.sorted()) ?? "" }

  /// The innermost module that all of some keys lie in, under its old name; nil if there are no
  /// keys.
  private func commonModule(of positions: [Int]) -> String? {
    guard let first = positions.first else { return nil }
    var common = ExactText(oldKeys[first]).modules
    for position in positions {
      let modules = ExactText(oldKeys[position]).modules
      while common.count > 1,
        modules.count < common.count || modules[common.count - 1] != common.last
      {
        common.removeLast()
      }
    }
    return common.last
  }

  private func isMatch(_ name: String?, _ position: Int) -> Bool {
    name.map { wanted[ExactText($0)] == .some(shapes[position]) } ?? false
  }

  /// The number of keys that match; nil if two selected keys have the same name.
  private func score(_ names: [String?]) -> Int? {
    var seen = Set<ExactText>()
    var count = 0
    for (position, name) in names.enumerated() {
      guard let name else { continue }
      if name.isEmpty || !seen.insert(ExactText(name)).inserted { return nil }
      if isMatch(name, position) { count += 1 }
    }
    return count
  }

  mutating func run() {
    var best = score(names) ?? 0
    for _ in 0..<8 where best < wanted.count {
      var found: (names: [String?], rule: KeyRename, score: Int)?
      for candidate in candidates().prefix(16) {
        guard let rename = try? candidate.renamer() else { continue }
        for onlyRenamed in [false, true] {
          // If keys collide, or there are several copies, keys that the rule does not change are
          // dropped.
          let next = names.map { name in
            name.flatMap { name -> String? in
              let new = rename(name)
              return onlyRenamed && new == name ? nil : new
            }
          }
          guard let score = score(next), score > (found?.score ?? best) else { continue }
          found = (next, candidate, score)
        }
      }
      guard let found else { return }
      (names, best) = (found.names, found.score)
      rules.append(found.rule)
    }
  }

  /// Rules that pairs of keys propose, those that most pairs agree on first.
  private func candidates() -> [KeyRename] {
    let matched = Set(
      names.enumerated().compactMap { isMatch($1, $0) ? $1.map(ExactText.init) : nil })
    let open = reference.elements.filter { !matched.contains(ExactText($0.key)) }
    var bySuffix: [Substring: [(key: String, shape: [Int]?)]] = [:]
    var byGap: [[Substring]: [Substring]] = [:]
    var whole = Set<[Substring]>()
    for (key, value) in open {
      let parts = key.split(separator: ".", omittingEmptySubsequences: false)
      whole.insert(parts)
      for position in parts.indices {
        let suffix = key[parts[position].startIndex...]
        if bySuffix[suffix, default: []].count < 8 {
          bySuffix[suffix, default: []].append((key, value.tensor?.shape))
        }
        var gap = parts
        gap[position] = ""
        if byGap[gap, default: []].count < 8 { byGap[gap, default: []].append(parts[position]) }
      }
    }
    var votes: OrderedDictionary<KeyRename, Int> = [:]
    for (position, name) in names.enumerated() {
      guard let name, !isMatch(name, position) else { continue }
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      for part in parts.indices {
        let suffix = name[parts[part].startIndex...]
        let pairs = (bySuffix[suffix] ?? []).filter { $0.shape == shapes[position] }
        if pairs.isEmpty { continue }
        for pair in pairs {
          let old = String(name.dropLast(suffix.count))
          let new = String(pair.key.dropLast(suffix.count))
          votes[Self.prefixRule(old, new), default: 0] += 1
          // The same for one module only.
          if old != new, part < parts.count - 1 {
            votes[
              .replacePrefix("\(old)\(parts[part]).", with: "\(new)\(parts[part])."), default: 0] +=
              1
          }
        }
        break
      }
      for part in parts.indices {
        var gap = parts
        gap[part] = ""
        for new in byGap[gap] ?? [] where new != parts[part] {
          votes[Self.partRule(parts, part, new), default: 0] += 1
        }
        gap.remove(at: part)
        if part > 0, whole.contains(gap) {
          votes[.replace("\(parts[part]).", with: ""), default: 0] += 1
        }
      }
    }
    return votes.sorted { $0.value > $1.value }.map(\.key)
  }

  private static func prefixRule(_ old: String, _ new: String) -> KeyRename {
    if new.isEmpty { return .stripPrefix(old) }
    return old.isEmpty ? .addPrefix(new) : .replacePrefix(old, with: new)
  }

  /// Replaces one dotted part wherever it stands.
  private static func partRule(
    _ parts: [Substring], _ position: Int, _ new: Substring
  ) -> KeyRename {
    let old = parts[position]
    if position == 0 { return .replacePrefix("\(old).", with: "\(new).") }
    if position < parts.count - 1 { return .replace(".\(old).", with: ".\(new).") }
    let isPlain = old.unicodeScalars.allSatisfy {
      $0 == "_" || $0.properties.isAlphabetic || $0.isASCII && ("0"..."9").contains($0)
    }
    let template = new.split(separator: "$", omittingEmptySubsequences: false).joined(
      separator: "$$")
    return isPlain
      ? .regex("\\.\(old)$", template: ".\(template)") : .replace(".\(old)", with: ".\(new)")
  }

  /// The selection, by old names, after which no key is unexpected.
  func selection(isStrict: Bool) -> KeySelection {
    var selection = KeySelection()
    let matched = oldKeys.indices.filter { isMatch(names[$0], $0) }
    let isKept = Set(matched)
    let others = oldKeys.indices.filter { !isKept.contains($0) }
    // Keys that were given up on the way must go; others need to go only where nothing may be left
    // over.
    guard !matched.isEmpty, names.contains(where: { $0 == nil }) || isStrict && !others.isEmpty
    else { return selection }
    var left = others.map { oldKeys[$0] }
    if let module = commonModule(of: matched), !module.isEmpty,
      left.contains(where: { !($0.utf8.starts(with: Array((module + ".").utf8))) }),
      let pattern = try? KeyPattern(.under, module)
    {
      selection.include = [pattern]
      left = left.filter { $0.utf8.starts(with: Array((module + ".").utf8)) }
    }
    for group in source.moduleGroups(of: left).prefix(64) {
      let pairs: [(KeyPattern.Kind, String)] =
        group.isWholeModule ? [(.under, group.name)] : group.keys.map { (.equals, $0) }
      selection.exclude += pairs.compactMap { try? KeyPattern($0.0, $0.1) }
    }
    return selection
  }
}
