internal import CkptPlatform
internal import CkptText
internal import Foundation
internal import ImageData
internal import StateDictKit

/// The folder that a fine-tuning writes: checkpoints, metrics and a report.
///
/// Each file is replaced as a whole: if the process is killed, the previous file stays.
public struct RunFolder {
  /// The path of the folder.
  public let path: String

  /// The names of the files in a run's folder, except the event file for TensorBoard, whose name
  /// begins with ``eventPrefix``.
  static let names: Set<String> = [
    "best.pt", "last.pt", "metrics.csv", "args.yml", "classes.txt", "report.html",
  ]
  /// The beginning of the event file's name.
  static let eventPrefix = "events.out.tfevents."

  /// Creates the value for a path; nothing is read or written.
  public init(_ path: String) {
    var trimmed = path[...]
    while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
    self.path = String(trimmed)
  }

  /// The path of a file in the folder, such as `best.pt`.
  public func file(_ name: String) -> String { path + "/" + name }

  // MARK: - Beginning

  /// Checks that a run can be written here; changes nothing.
  ///
  /// - Parameter replacing: whether a run in the folder may be replaced.
  /// - Throws: `FileError` of kind `.cannotCreate` if the folder is not empty and may not be
  ///   replaced, or cannot be created; ``FineTuningError/notARun(folder:problem:)`` if it would be
  ///   replaced and is not a run.
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

  /// Creates the folder and writes the first files. A run that is replaced stays as it is until
  /// they are written.
  ///
  /// - Parameters:
  ///   - tuner: the fine-tuning, which has not begun.
  ///   - replacing: whether a run in the folder is replaced.
  /// - Throws: as ``checkIsFree(replacing:)``; `FileError` if a file cannot be written or the
  ///   folder cannot be replaced.
  public func begin(_ tuner: FineTuner, replacing: Bool) throws {
    try checkIsFree(replacing: replacing)
    guard Folder.exists(at: path) else {
      try Folder.create(at: path)
      return try writeFirst(tuner)
    }
    let exchange = try FolderExchange(replacing: path)
    try RunFolder(exchange.path).writeFirst(tuner)
    try exchange.commit()
  }

  private func writeFirst(_ tuner: FineTuner) throws {
    try write("classes.txt", text: tuner.images.classes.map { $0 + "\n" }.joined())
    try save(tuner, isBest: false)
  }

  // MARK: - Saving

  /// Saves the state of a training, from which it can continue, and its metrics.
  ///
  /// - Parameters:
  ///   - tuner: the fine-tuning.
  ///   - isBest: whether the epoch that ended is the best so far; then `best.pt` is written, too.
  /// - Throws: `FileError` if a file cannot be written; `TensorError` or `TrainingError` if a
  ///   tensor cannot be made.
  public func save(_ tuner: FineTuner, isBest: Bool) throws {
    let checkpoint = try Checkpoint(
      RunCheckpoint.value(of: tuner, description: Self.description(of: tuner.options)))
    if isBest { try checkpoint.write(to: file("best.pt"), replacingExisting: true) }
    try write("metrics.csv", text: MetricsTable(metrics: tuner.metrics).text)
    try writeEvents(tuner)
    try write("args.yml", text: tuner.options.yaml)
    // Last: all other files are at least as new as `last.pt` if the process is killed.
    try checkpoint.write(to: file("last.pt"), replacingExisting: true)
  }

  /// Writes `report.html` for a training that ended.
  ///
  /// - Throws: `FileError` if the file cannot be written.
  public func writeReport(_ tuner: FineTuner) throws {
    try write("report.html") { try RunReport(tuner).writeHTML(to: $0) }
  }

  private func writeEvents(_ tuner: FineTuner) throws {
    guard !tuner.metrics.isEmpty else { return }
    // The name contains the host; a run that continues on another host keeps its file.
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

  /// Writes a file whose text `body` passes on piece by piece.
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

  // MARK: - The model's description

  /// The text of the model's description, if the option `model` is the path of a YAML file.
  ///
  /// - Throws: `FileError` if the file cannot be read; `BoundedYAML.Failure` if it is too large or
  ///   not text.
  static func description(of options: FineTuningOptions) throws -> String? {
    let name = options.model.prefix { $0 != ":" }
    guard [".yml", ".yaml"].contains(where: name.hasSuffix) else { return nil }
    return try BoundedYAML.text(of: File(readingFrom: String(name)), .document)
  }
}
