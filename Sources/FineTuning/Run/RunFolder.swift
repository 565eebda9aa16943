internal import CkptPlatform
internal import CkptStateDicts
internal import CkptText
internal import Foundation
internal import ImageData
internal import StateDictKit

/// The folder of a fine-tuning: its checkpoints, figures and report. Each file is replaced as a whole, so that a process
/// that is killed leaves the last complete one.
public struct RunFolder {
  /// The folder's path.
  public let path: String

  /// The names of the files that a run writes, but for the events, whose name begins with ``eventPrefix``.
  static let names: Set<String> = [
    "best.pt", "last.pt", "metrics.csv", "args.yml", "classes.txt", "report.html",
  ]
  static let eventPrefix = "events.out.tfevents."

  /// The folder at a path, which may not be there yet.
  public init(_ path: String) {
    var trimmed = path[...]
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
    self.path = String(trimmed)
  }

  /// The path of a file of the run.
  public func file(_ name: String) -> String { path + "/" + name }

  // MARK: - Beginning

  /// Checks that a run can begin here, without changing anything.
  ///
  /// - Parameter replacing: whether a run that is there may be replaced.
  /// - Throws: `FileError` of kind `.cannotCreate` if something is there that may not be replaced, or the folder cannot
  ///   be made; ``FineTuningError/notARun(folder:problem:)`` if what is there is not a run.
  public func checkIsFree(replacing: Bool) throws {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw FileError(.cannotCreate, "not a folder's path", path: path)
    }
    guard AtomicOutput.exists(at: path) else { return try Folder.checkParent(of: path) }
    guard Folder.exists(at: path) else {
      throw FileError(.cannotCreate, "is no folder", path: path)
    }
    let names = try Folder(path).names
    guard !names.isEmpty else { return }
    guard replacing else {
      throw FileError(
        .cannotCreate, "already exists", path: path, hint: "\(.replaceExisting) replaces a run")
    }
    let others = names.filter { !Self.names.contains($0) && !$0.hasPrefix(Self.eventPrefix) }
    guard others.isEmpty, names.contains("args.yml"), names.contains("last.pt") else {
      throw FineTuningError.notARun(
        folder: path,
        problem: others.first.map { "is not replaced, since it holds \($0), which no run writes" }
          ?? "is not replaced, since it is no run")
    }
  }

  /// Makes the folder, or empties the run that is there.
  ///
  /// - Throws: as ``checkIsFree(replacing:)``; `FileError` if a file cannot be removed.
  public func begin(_ tuner: FineTuner, replacing: Bool) throws {
    try checkIsFree(replacing: replacing)
    if !Folder.exists(at: path) { try Folder.create(at: path) }
    for name in try Folder(path).names {
      guard unlink(file(name)) == 0 else {
        throw FileError(.cannotCreate, "cannot be replaced", path: file(name))
      }
    }
    try write("args.yml", text: Self.yaml(tuner.options))
    try write(
      "classes.txt", text: tuner.images.classes.map { $0 + "\n" }.joined())
    try save(tuner, isBest: false)
  }

  // MARK: - Saving

  /// Saves everything from which a training goes on, and its figures.
  ///
  /// - Parameter isBest: whether the epoch that ended is the best yet.
  /// - Throws: `FileError` if a file cannot be written.
  public func save(_ tuner: FineTuner, isBest: Bool) throws {
    let checkpoint = try Checkpoint(
      RunCheckpoint.value(of: tuner, description: Self.description(of: tuner.options)))
    if isBest { try checkpoint.write(to: file("best.pt"), replacingExisting: true) }
    try write("metrics.csv", text: MetricsTable(metrics: tuner.metrics).text)
    try writeEvents(tuner)
    // Last, so that whatever a checkpoint tells of is there.
    try checkpoint.write(to: file("last.pt"), replacingExisting: true)
  }

  /// Writes the report of a training that ended.
  ///
  /// - Throws: `FileError` if the file cannot be written.
  public func writeReport(_ tuner: FineTuner) throws {
    try write("report.html") { try RunReport(tuner).writeHTML(to: $0) }
  }

  private func writeEvents(_ tuner: FineTuner) throws {
    guard !tuner.metrics.isEmpty else { return }
    // A run that goes on elsewhere keeps its file.
    let present = try Folder(path).names.first { $0.hasPrefix(Self.eventPrefix) }
    let events = EventFile(metrics: tuner.metrics, startedAt: tuner.progress.startedAt)
    try write(present ?? events.name, bytes: events.bytes)
  }

  private func write(_ name: String, text: String) throws { try write(name) { try $0(text) } }

  private func write(_ name: String, bytes: [UInt8]) throws {
    let output = try AtomicOutput(path: file(name), replacingExisting: true)
    try output.file.write(bytes, at: 0)
    try output.commit()
  }

  /// Writes a file whose text comes piece by piece.
  private func write(_ name: String, _ body: ((String) throws -> Void) throws -> Void) throws {
    let output = try AtomicOutput(path: file(name), replacingExisting: true)
    var position = 0
    try body { text in
      let bytes = Array(text.utf8)
      try output.file.write(bytes, at: position)
      position += bytes.count
    }
    try output.commit()
  }

  // MARK: - Continuing

  /// The options of the run that is here, from its `args.yml`.
  ///
  /// - Throws: ``FineTuningError/notARun(folder:problem:)`` if there is no run; ``FineTuningError`` if `args.yml` was
  ///   changed in a way that the checkpoint does not follow.
  public func options() throws -> FineTuningOptions {
    guard Folder.exists(at: path) else {
      throw FileError(.cannotOpen, "there is no such folder", path: path)
    }
    let names = try Folder(path).names
    for name in ["args.yml", "last.pt"] where !names.contains(name) {
      throw FineTuningError.notARun(folder: path, problem: "is no run: there is no \(name)")
    }
    let text = try BoundedYAML.text(of: Folder(path).open("args.yml"), .document)
    let written = try Self.options(yaml: text, file: file("args.yml"))
    let saved = try FineTunedFile(contentsOf: file("last.pt")).options()
    let differences = saved.differences(from: written)
    guard differences.isEmpty else {
      throw FineTuningError.notARun(
        folder: path,
        problem: "args.yml and last.pt differ in \(differences.joined(separator: ", "))")
    }
    return saved
  }

  /// The model of the run that is here, in its sizes and with its weights.
  ///
  /// - Throws: ``FineTuningError`` where the weights do not fit the options and classes; what reading the checkpoint
  ///   throws.
  public func startingModel(_ options: FineTuningOptions, classes: [String]) throws
    -> StartingModel
  {
    let file = file("last.pt")
    return try StartingModel(
      options, classes: classes, weights: Checkpoint(contentsOf: file).stateDict(at: "model"),
      source: file, keepsHead: true, minimumLoaded: 1)
  }

  /// Lets a tuner, made from ``options()`` with perhaps more epochs, go on from the run that is here.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` where the images or the options are others; what reading
  ///   the checkpoint throws.
  public func restore(_ tuner: FineTuner) throws {
    let file = file("last.pt")
    try RunCheckpoint.restore(tuner, from: Checkpoint(contentsOf: file), file: file)
    try write("args.yml", text: Self.yaml(tuner.options))
  }

  // MARK: - Options as text

  /// The text of `args.yml`: a line an option, its value as JSON, which is YAML, too.
  static func yaml(_ options: FineTuningOptions) -> String {
    FineTuningOptions.fields.map { field in
      "\(field.name): \(json(field.value(options)))\n"
    }.joined()
  }

  static func json(_ value: PlainValue) -> String {
    switch value {
    case .bool(let flag): return flag ? "true" : "false"
    case .int(let number): return "\(number)"
    case .float(let number): return "\(number)"
    case .string(let text):
      var writer = JSONWriter(.oneLine)
      writer.string(text)
      return String(decoding: writer.bytes, as: UTF8.self)
    case .list(let items): return "[" + items.map(json).joined(separator: ", ") + "]"
    default: return "null"
    }
  }

  /// The options in the text of an `args.yml`.
  static func options(yaml text: String, file: String) throws -> FineTuningOptions {
    let value: PlainValue
    do {
      value = try PlainValue(yaml: text)
    } catch let failure as BoundedYAML.Failure {
      throw FineTuningError.notFineTuned(
        file: file, problem: "it \(failure.problem)" + (failure.line.map { ", line \($0)" } ?? ""))
    }
    return try FineTuningOptions(arguments: value, from: file)
  }

  /// The text of the description of a model that is not known by its name alone.
  static func description(of options: FineTuningOptions) throws -> String? {
    let name = options.model.prefix { $0 != ":" }
    guard [".yml", ".yaml"].contains(where: name.hasSuffix) else { return nil }
    return try BoundedYAML.text(of: File(readingFrom: String(name)), .document)
  }
}
