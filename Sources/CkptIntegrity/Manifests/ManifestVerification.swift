package import CkptPlatform
internal import CkptText
internal import Synchronization

/// The result of comparing files with a manifest.
package struct ManifestReport: Sendable {
  /// How the tensors of a changed checkpoint compare with those of the manifest.
  package enum Tensors: Sendable, Equatable {
    /// The manifest has no digests of them.
    case unrecorded
    /// All are as recorded: only the container, or other objects, differ.
    case same
    /// Keys of tensors that differ, are missing, or are additional; each sorted.
    case different(changed: [String], missing: [String], added: [String])
    /// They could not be read, for the given reason.
    case unreadable(String)
  }

  /// A file whose bytes differ.
  package struct Change: Sendable {
    /// The path of the file relative to the model's folder.
    package let file: String
    /// The tensors of the checkpoint that the file belongs to.
    package let tensors: Tensors
  }

  /// The number of files that were compared.
  package fileprivate(set) var fileCount = 0
  /// The number of their bytes.
  package fileprivate(set) var byteCount = 0
  /// Files whose bytes differ.
  package fileprivate(set) var changed: [Change] = []
  /// Files that are not there.
  package fileprivate(set) var missing: [String] = []
  /// Files that the manifest does not list, if it describes a whole folder.
  package fileprivate(set) var added: [String] = []
  /// Whether the manifest was read from a signature, which was not verified.
  package fileprivate(set) var isSigned = false

  /// Whether every file is as the manifest describes it.
  package var isIntact: Bool { changed.isEmpty && missing.isEmpty && added.isEmpty }

  /// Compares files with a manifest.
  ///
  /// - Parameters:
  ///   - manifest: the manifest; `manifestPath` is where it was read from.
  ///   - path: the model's folder; or one file, which is compared alone with the resource of its
  ///     name.
  ///   - progress: called from any thread with the number of bytes read since the last call.
  /// - Throws: `FileError`; ``ManifestError``; `CancelledError`.
  package init(
    of path: String, against manifest: ModelManifest, readFrom manifestPath: String,
    cancellation: Cancellation = Cancellation(), progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    isSigned = manifest.isSigned
    var comparison: ManifestComparison
    if Folder.exists(at: path) {
      guard !manifest.resources.contains(where: { $0.file == "." }) else {
        throw ManifestError.describesFile(manifest: manifestPath)
      }
      let root = Folder.resolved(path) ?? path
      comparison = ManifestComparison(manifest, root: root)
      // The manifest itself may lie in the folder.
      let own = ModelManifest.relative(manifestPath, to: root)
      if let own { comparison.resources[ExactText(own)] = nil }
      if manifest.coversFolder {
        let (names, _) = try comparison.files.all { name in
          manifest.isIgnored(name) || own?.isExactly(name) == true
        }
        // An empty file has no parts, so a manifest by parts does not list it.
        let listsParts = manifest.resources.contains { $0.range != nil }
        added = names.filter { name in
          guard comparison.resources[ExactText(name)] == nil else { return false }
          return !listsParts || Folder.byteCount(ofFileAt: root + "/" + name) != 0
        }
      }
    } else {
      comparison = try ManifestComparison(
        manifest, file: path, manifestPath: manifestPath)
    }
    try compare(comparison, cancellation, progress)
  }

  private enum Outcome {
    case missing
    case compared(byteCount: Int, isSame: Bool)
  }

  private mutating func compare(
    _ comparison: ManifestComparison, _ cancellation: Cancellation,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    let work = comparison.resources.sorted {
      $0.key.text.utf8.lexicographicallyPrecedes($1.key.text.utf8)
    }
    let files = Mutex(comparison)
    let outcomes = Mutex([Outcome](repeating: .missing, count: work.count))
    try Parallel.forEach(
      of: Array(work.indices), workers: min(Parallel.processorCount, 4),
      cancellation: cancellation
    ) { index in
      // Each file is open only while it is read.
      let (name, parts) = work[index]
      guard let file = try files.withLock({ try $0.open(name.text) }) else { return }
      let isSame = try Self.matches(parts, file, cancellation, progress)
      outcomes.withLock { $0[index] = .compared(byteCount: file.size, isSame: isSame) }
    }
    var different: [String] = []
    for (outcome, (name, _)) in zip(outcomes.withLock({ $0 }), work) {
      guard case .compared(let count, let isSame) = outcome else {
        missing.append(name.text)
        continue
      }
      fileCount += 1
      byteCount += count
      if !isSame { different.append(name.text) }
    }
    var known: [ExactText: Tensors] = [:]
    for name in different {
      guard let contents = comparison.contents(of: name) else {
        changed.append(Change(file: name, tensors: .unrecorded))
        continue
      }
      let tensors =
        try known[ExactText(contents.checkpoint)]
        ?? Self.tensors(contents, in: comparison, cancellation, progress)
      known[ExactText(contents.checkpoint)] = tensors
      changed.append(Change(file: name, tensors: tensors))
    }
  }

  /// Whether a file has exactly the parts that the manifest lists, with their digests.
  private static func matches(
    _ parts: [ModelManifest.Resource], _ file: File, _ cancellation: Cancellation,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws -> Bool {
    var end = 0
    for part in parts.sorted(by: { ($0.range?.lowerBound ?? 0) < ($1.range?.lowerBound ?? 0) }) {
      let range = part.range ?? 0..<file.size
      guard range.lowerBound == end, range.upperBound <= file.size else { return false }
      end = range.upperBound
      let found = try FileDigest.sha256(
        of: file, in: range, cancellation: cancellation, progress: progress)
      guard found == part.sha256 else { return false }
    }
    return end == file.size
  }

  private static func tensors(
    _ contents: ModelManifest.Contents, in comparison: ManifestComparison,
    _ cancellation: Cancellation, _ progress: (@Sendable (Int) -> Void)?
  ) throws -> Tensors {
    let found: [ExactText: String]
    do {
      let digests = try CheckpointPlaces.digests(
        of: comparison.place(of: contents), in: comparison.files.root, cancellation: cancellation,
        progress: progress)
      guard let digests else { return .unreadable("it is no checkpoint any more") }
      found = digests
    } catch let error as any Diagnostic where [.badInput, .cannotOpen].contains(error.kind) {
      return .unreadable(error.description)
    }
    let recorded = contents.digests
    let changed = recorded.keys.filter { key in found[key].map { $0 != recorded[key] } ?? false }
    let missing = recorded.keys.filter { found[$0] == nil }
    let added = found.keys.filter { recorded[$0] == nil }
    guard !changed.isEmpty || !missing.isEmpty || !added.isEmpty else { return .same }
    return .different(
      changed: sorted(changed), missing: sorted(missing), added: sorted(added))
  }
}

/// The texts of keys in the order of their bytes.
private func sorted(_ keys: [ExactText]) -> [String] {
  keys.map(\.text).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}

/// A manifest's files on the disk.
private struct ManifestComparison {
  var files: ModelFiles
  /// The resources of each file by its path.
  var resources: [ExactText: [ModelManifest.Resource]]
  private let manifest: ModelManifest
  /// The name on the disk of the file that the manifest lists as `listed`, if only one is compared.
  private var single: (listed: String, name: String)?

  init(_ manifest: ModelManifest, root: String) {
    self.manifest = manifest
    files = ModelFiles(root: root)
    resources = Dictionary(grouping: manifest.resources) { ExactText($0.file) }
  }

  /// One file, which may have been moved: the manifest lists it by its name, or without one.
  init(_ manifest: ModelManifest, file path: String, manifestPath: String) throws {
    _ = try File(readingFrom: path)
    let name = path.split(separator: "/").last.map(String.init) ?? path
    let folder = Folder.resolved(path.contains("/") ? String(path.dropLast(name.utf8.count)) : ".")
    self.init(manifest, root: folder ?? ".")
    let listed = resources.keys.filter { key in
      key.text == "." || key.text.split(separator: "/").last?.isExactly(name) == true
    }
    guard listed.count == 1, let listed = listed.first else {
      throw ManifestError.notListed(file: path, manifest: manifestPath)
    }
    resources = [listed: resources[listed] ?? []]
    single = (listed.text, name)
  }

  mutating func open(_ name: String) throws -> File? {
    guard let single else { return try files.open(name) }
    return try File(readingFrom: files.root + "/" + single.name)
  }

  /// The checkpoint that a file belongs to: its own, or that of its folder.
  func contents(of name: String) -> ModelManifest.Contents? {
    let parts = name.split(separator: "/").dropLast()
    let folder = parts.isEmpty ? "." : parts.joined(separator: "/")
    return manifest.contents.first { $0.checkpoint.isExactly(name) }
      ?? (single == nil ? manifest.contents.first { $0.checkpoint.isExactly(folder) } : nil)
  }

  /// The path on the disk of a checkpoint, relative to the folder.
  func place(of contents: ModelManifest.Contents) -> String {
    if let single, contents.checkpoint.isExactly(single.listed) { return single.name }
    return contents.checkpoint
  }
}
