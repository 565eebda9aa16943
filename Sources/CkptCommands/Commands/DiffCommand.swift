internal import ArgumentParser
internal import StateDictKit

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Tell how the state dicts of two files differ: keys, shapes, dtypes, values.",
    discussion: """
      Tensors are compared by key; those whose key is in one file only, by content, to find renamed ones. With \
      --rtol, --atol or --equal-nan numbers are equal as torch.allclose(a, b) says: |a - b| <= atol + rtol * |b|; \
      without, if they are the same, NaN included. Exit status 1 if something differs.
      """)

  @Argument(help: "The first checkpoint.") var a: String
  @Argument(help: "The second checkpoint.") var b: String
  @Option(help: "Where in both files the state dict is: keys joined by /.") var at: String?
  @Option(help: "Where in B the state dict is, if it is elsewhere.") var otherAt: String?
  @Option(help: "How far numbers may lie apart, as a part of B's.") var rtol: Double?
  @Option(help: "How far numbers may lie apart in any case.") var atol: Double?
  @Flag(help: "NaN is equal to NaN.") var equalNan = false
  @Flag(help: "Another dtype with equal numbers is no difference.") var ignoreDtype = false
  @Option(help: "How many changed tensors the table has at most.") var limit = 50
  @OptionGroup(title: "Which keys") var selection: SelectionOptions
  @OptionGroup var page: PageOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    for bound in [rtol, atol].compactMap(\.self) {
      guard bound >= 0, bound.isFinite else {
        throw ValidationError("--rtol and --atol are numbers from 0 on")
      }
    }
    if limit < 0 { throw ValidationError("--limit is not negative") }
  }

  private struct Report: Encodable {
    struct Renamed: Encodable {
      let from, to: String
    }
    struct Shapes: Encodable {
      let key: String
      let a, b: [Int]?
    }
    struct Types: Encodable {
      let key, a, b: String
    }
    struct Changed: Encodable {
      let key: String
      let shape: [Int]
      let elements: Int
      let comparable: Bool
      var differing, nan_mismatches: Int?
      var max_abs, max_rel, change_norm, relative_change, cosine: Double?
    }
    let a, b, at_a, at_b: String
    let equal: Bool
    let compared: Int
    let only_in_a, only_in_b, changed_objects, not_compared: [String]
    let renamed: [Renamed]
    let shapes: [Shapes]
    let dtypes: [Types]
    let changed: [Changed]
  }

  private func load(_ file: String, _ at: String?) throws -> (StateDict, String) {
    let checkpoint = try Checkpoint(contentsOf: file)
    let at = try checkpoint.chosenPath(at)
    return (try checkpoint.stateDict(at: at), at)
  }

  func run() throws {
    let (first, firstPlace) = try load(a, at)
    let (second, secondPlace) = try load(b, otherAt ?? at)
    let wanted = try selection.selection()
    let (left, right) = (first.filter(wanted), second.filter(wanted))
    guard !(left.isEmpty && right.isEmpty) || selection.allowEmpty || first.isEmpty else {
      throw InputError(
        description: "the selection keeps no key of either file (\(a), \(b))",
        hint: "\"ckpt ls\" lists the keys; --allow-empty lets this pass")
    }
    var options = StateDictDifference.Options()
    if rtol != nil || atol != nil || equalNan {
      options.tolerance = Tolerance(
        relative: rtol ?? 0, absolute: atol ?? 0, equalNaN: equalNan)
    }
    options.ignoresType = ignoreDtype
    options.withHistograms = page.html != nil
    let found = try reading(left.totalByteCount, common) { cancellation, progress in
      try StateDictDifference(
        from: left, to: right, options: options, cancellation: cancellation, progress: progress)
    }
    try page.write { try found.writeHTML(a: a, b: b, to: $0) }
    common.json ? try printJSON(report(found, firstPlace, secondPlace)) : show(found)
    if !found.isEqual { throw NegativeAnswer() }
  }

  private func report(_ found: StateDictDifference, _ atA: String, _ atB: String) -> Report {
    Report(
      a: a, b: b, at_a: atA, at_b: atB, equal: found.isEqual, compared: found.entries.count,
      only_in_a: found.onlyInA, only_in_b: found.onlyInB, changed_objects: found.changedObjects,
      not_compared: found.notCompared,
      renamed: found.renamed.map { .init(from: $0.old, to: $0.new) },
      shapes: found.mismatched.map { .init(key: $0.key, a: $0.expected, b: $0.found) },
      dtypes: found.entries.filter(\.changesType).map {
        .init(key: $0.key, a: $0.a.dtype.name, b: $0.b.dtype.name)
      },
      changed: found.changed.map { entry in
        let numbers = entry.difference
        return .init(
          key: entry.key, shape: entry.a.shape, elements: entry.a.elementCount,
          comparable: numbers != nil, differing: numbers?.differingCount,
          nan_mismatches: numbers?.nanMismatchCount, max_abs: numbers?.maxAbsolute,
          max_rel: numbers?.maxRelative, change_norm: numbers?.changeNorm,
          relative_change: numbers?.relativeChange, cosine: numbers?.cosine)
      })
  }

  private func show(_ found: StateDictDifference) {
    for key in found.onlyInA { print("only in A   \(Messages.line(key))") }
    for key in found.onlyInB { print("only in B   \(Messages.line(key))") }
    for change in found.renamed {
      print("renamed     \(Messages.line(change.old)) -> \(Messages.line(change.new))")
    }
    func shape(_ shape: [Int]?) -> String { shape.map { "\($0)" } ?? "no tensor" }
    for mismatch in found.mismatched {
      print(
        "shape       \(Messages.line(mismatch.key)): \(shape(mismatch.expected)) -> "
          + shape(mismatch.found))
    }
    for entry in found.entries where entry.changesType {
      print(
        "dtype       \(Messages.line(entry.key)): \(entry.a.dtype.name) -> "
          + entry.b.dtype.name)
    }
    for key in found.changedObjects {
      print("object      \(Messages.line(key)): another object, no plain tensor")
    }
    for key in found.notCompared {
      print(
        "object      \(Messages.line(key)): too large to be compared, and not known to be equal")
    }
    let changed = found.changed
    let columns = [
      "changed", "shape", "rel. change", "cosine", "max abs", "max rel", "differing", "",
    ]
    var rows = [columns]
    for entry in changed.prefix(limit) {
      guard let numbers = entry.difference else {
        rows.append([
          Messages.line(entry.key), "\(entry.a.shape)", "", "", "", "", "not comparable",
        ])
        continue
      }
      let values = [
        numbers.relativeChange, numbers.cosine, numbers.maxAbsolute, numbers.maxRelative,
      ]
      rows.append(
        [Messages.line(entry.key), "\(entry.a.shape)"] + values.map(numberText) + [
          "\(numbers.differingCount)",
          numbers.nanMismatchCount > 0 ? "\(numbers.nanMismatchCount) NaN on one side" : "",
        ])
    }
    if rows.count > 1 {
      print()
      Table.print(rows, rightAligned: Set(2...6))
      if changed.count > limit { print("… \(changed.count - limit) more; --limit shows more") }
      print()
    }
    print(
      found.isEqual
        ? "no difference in \(found.entries.count) tensors"
        : "\(changed.count) of \(found.entries.count) tensors on both sides changed, "
          + "\(found.onlyInA.count) only in A, \(found.onlyInB.count) only in B, "
          + "\(found.renamed.count) renamed, \(found.mismatched.count) of another shape"
          + (found.changedObjects.isEmpty ? "" : ", \(found.changedObjects.count) other objects")
          + (found.notCompared.isEmpty ? "" : ", \(found.notCompared.count) not compared"))
  }
}
