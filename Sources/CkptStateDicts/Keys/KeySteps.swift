internal import CkptPlatform
public import CkptPatterns
internal import CkptText
internal import OrderedCollections

/// One step of an edit of a state dict's keys: a selection or a rename.
public enum KeyStep: Sendable {
  /// Only entries that are selected go on; what a tensor is counts too.
  case select(KeySelection)
  /// Only keys that match one of the patterns go on.
  case include([KeyPattern])
  /// Keys that match one of the patterns go no further.
  case exclude([KeyPattern])
  /// Keys get new names.
  case rename(KeyRename)
  /// A step that is not reported where it finds nothing to do.
  indirect case optional(KeyStep)
}

extension KeyStep {
  /// The rule, if the step renames.
  fileprivate var renameRule: KeyRename? {
    var step = self
    while case .optional(let inner) = step { step = inner }
    return if case .rename(let rule) = step { rule } else { nil }
  }
}

/// The result of key steps: what each key became, and which rules matched nothing.
public struct KeyReport: Sendable {
  /// One key before and after the steps.
  public struct Change: Sendable, Hashable {
    /// The key before.
    public let old: String
    /// The key after; nil if the entry was left out.
    public let new: String?
    /// Whether the key is unchanged.
    public var isSame: Bool { new?.isExactly(old) == true }
  }

  /// A rule that may match no key.
  public enum Rule: Sendable, Hashable, CustomStringConvertible {
    /// Keys that match go on.
    case include(KeyPattern)
    /// Keys that match go no further.
    case exclude(KeyPattern)
    /// Keys get new names.
    case rename(KeyRename)
    /// A key of a map gets a new name.
    case mapEntry(String)
    /// Values of another shape are made to fit.
    case resize(ResizeRule)

    /// The rule on one line.
    public var description: String {
      switch self {
      case .include(let pattern): "include \(pattern.written)"
      case .exclude(let pattern): "exclude \(pattern.written)"
      case .rename(let rule): rule.description
      case .mapEntry(let key): "map \"\(key)\""
      case .resize(let rule): "resize \(rule.written)"
      }
    }
  }

  /// A rule that matched no key.
  public struct Unmatched: Sendable, Hashable {
    /// The rule.
    public let rule: Rule
    /// The keys that are spelled most like the rule's text.
    public let nearest: [String]
  }

  /// Every key, in order.
  public internal(set) var changes: [Change] = []
  /// The rules, and entries of maps, that matched no key.
  public internal(set) var unmatched: [Unmatched] = []

  /// An empty report.
  public init() {}

  /// The keys that were kept, under their old names.
  public var kept: [String] { changes.compactMap { $0.new == nil ? nil : $0.old } }
  /// The keys that were left out.
  public var dropped: [String] { changes.compactMap { $0.new == nil ? $0.old : nil } }
  /// The keys that were renamed.
  public var renamed: [Change] { changes.filter { $0.new != nil && !$0.isSame } }
}

extension StateDict {
  /// Reports what the steps, applied one after the other, would do to the keys.
  ///
  /// - Throws: ``PatternError``, `StateDictError.keysCollide`, `.keysVanish`.
  public func keyReport(_ steps: [KeyStep]) throws -> KeyReport {
    WorkCounters.add(.keyReport)
    var report = KeyReport()
    let old = keys
    var names: [String?] = old
    for var step in steps {
      let reported = report.unmatched
      var isOptional = false
      while case .optional(let inner) = step { (step, isOptional) = (inner, true) }
      defer { if isOptional { report.unmatched = reported } }
      let before = names.compactMap(\.self)
      switch step {
      case .select(let selection):
        var (included, excluded) = (PatternHits(selection.include), PatternHits(selection.exclude))
        for (index, value) in entries.values.enumerated() {
          guard let name = names[index] else { continue }
          let isIncluded = included.matchesAny(name) || selection.include.isEmpty
          let isExcluded = excluded.matchesAny(name)
          if !isIncluded || isExcluded || !selection.matches(value) { names[index] = nil }
        }
        report.unmatched += Self.unmatched(included, KeyReport.Rule.include, before)
        report.unmatched += Self.unmatched(excluded, KeyReport.Rule.exclude, before)
      case .include(let patterns), .exclude(let patterns):
        let isInclude = if case .include = step { true } else { false }
        var hits = PatternHits(patterns)
        for index in names.indices {
          guard let name = names[index] else { continue }
          if hits.matchesAny(name) != isInclude { names[index] = nil }
        }
        report.unmatched += Self.unmatched(
          hits, isInclude ? KeyReport.Rule.include : KeyReport.Rule.exclude, before)
      case .rename(let rule):
        let rename = try rule.renamer()
        var isHit = false
        for position in names.indices {
          guard let name = names[position] else { continue }
          let new = rename(name)
          isHit = isHit || !new.isExactly(name)
          names[position] = new
        }
        report.unmatched += Self.unmatched(rule, isHit, before)
      case .optional: break
      }
    }
    report.changes = zip(old, names).map { .init(old: $0, new: $1) }
    let vanished = report.changes.filter { $0.new?.isEmpty == true && !$0.old.isEmpty }
    guard vanished.isEmpty else { throw StateDictError.keysVanish(vanished.map(\.old)) }
    try Self.checkCollisions(report.changes)
    return report
  }

  private static func unmatched(
    _ hits: PatternHits, _ rule: (KeyPattern) -> KeyReport.Rule, _ keys: [String]
  ) -> [KeyReport.Unmatched] {
    hits.missed.map {
      .init(rule: rule($0), nearest: NearestKeys.nearest(to: $0.text, in: keys))
    }
  }

  private static func checkCollisions(_ changes: [KeyReport.Change]) throws {
    var sources: [ExactText: [String]] = [:]
    var order: [ExactText] = []
    for change in changes {
      guard let new = change.new.map(ExactText.init) else { continue }
      if sources[new] != nil, sources[new]?.count == 1 { order.append(new) }
      sources[new, default: []].append(change.old)
    }
    guard !order.isEmpty else { return }
    throw StateDictError.keysCollide(
      order.map { .init(new: $0.text, old: sources[$0] ?? []) })
  }

  /// The parts of a rename rule that match no key.
  private static func unmatched(
    _ rule: KeyRename, _ isHit: Bool, _ keys: [String]
  ) -> [KeyReport.Unmatched] {
    switch rule {
    case .map(let names):
      let known = Set(keys.map(ExactText.init))
      return names.keys.sorted().filter { !known.contains(ExactText($0)) }.map {
        .init(rule: .mapEntry($0), nearest: NearestKeys.nearest(to: $0, in: keys))
      }
    case .addPrefix: return []
    case .stripPrefix(let old), .replacePrefix(let old, _), .replace(let old, _):
      guard !isHit else { return [] }
      return [.init(rule: .rename(rule), nearest: NearestKeys.nearest(to: old, in: keys))]
    case .regex: return isHit ? [] : [.init(rule: .rename(rule), nearest: [])]
    }
  }

  /// A copy with the steps applied one after the other.
  ///
  /// - Returns: the result, and what became of each key.
  /// - Throws: as ``keyReport(_:)``; then nothing was done.
  public func applying(_ steps: [KeyStep]) throws -> (result: StateDict, report: KeyReport) {
    let report = try keyReport(steps)
    let dropped = Set(report.dropped.map(ExactText.init))
    let kept = dropped.isEmpty ? self : filter { key, _ in !dropped.contains(ExactText(key)) }
    let rules = steps.compactMap(\.renameRule)
    return (rules.isEmpty ? kept : try kept.renamingKeys(rules), report)
  }

  /// A copy without the entries that the steps leave out; the others keep their names.
  ///
  /// - Throws: as ``keyReport(_:)``.
  public func filter(by steps: [KeyStep]) throws -> (result: StateDict, report: KeyReport) {
    var report = try keyReport(steps)
    report.changes = report.changes.map { .init(old: $0.old, new: $0.new == nil ? nil : $0.old) }
    let dropped = Set(report.dropped.map(ExactText.init))
    return (filter { key, _ in !dropped.contains(ExactText(key)) }, report)
  }
}
