internal import CkptIO
internal import CkptInspection
package import CkptPlatform
internal import CkptTensors
internal import CkptText
internal import Synchronization

extension ModelManifest {
  /// Hashes the files of a model and the tensors in them.
  ///
  /// - Parameters:
  ///   - paths: one folder, which is listed with all below it, or files, whose names are relative
  ///     to the folder that they have in common.
  ///   - output: the path at which the manifest will be stored, which is left out.
  ///   - cancellation: cancels the reading.
  ///   - progress: called from any thread with the number of bytes read since the last call.
  /// - Returns: the manifest, and what could not be read as a checkpoint although it looks like
  ///   one, so that only the bytes of the file are hashed.
  /// - Throws: `FileError`; `ChecksumError` for a damaged record; `CancelledError`.
  package static func make(
    of paths: [String], storedAt output: String? = nil, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws -> (manifest: ModelManifest, unread: [String]) {
    var files: ModelFiles
    var manifest = ModelManifest(name: "", resources: [])
    var names: [String]
    if paths.count == 1, Folder.exists(at: paths[0]) {
      let root = Folder.resolved(paths[0]) ?? paths[0]
      files = ModelFiles(root: root)
      manifest.ignored = usuallyIgnored
      if let output = output.flatMap({ relative($0, to: root) }) { manifest.ignored.append(output) }
      (names, manifest.followsLinks) = try files.all(leavingOut: manifest.isIgnored)
    } else {
      let root: String
      (root, names) = try common(of: paths)
      files = ModelFiles(root: root)
      manifest.coversFolder = false
      manifest.followsLinks = names.contains { Folder.isLink(at: root + "/" + $0) }
    }
    manifest.name = files.root.split(separator: "/").last.map(String.init) ?? "/"
    let root = files.root
    let opening = Mutex(files)
    let resources = Mutex<[Resource]>([])
    try Parallel.forEach(
      of: names, workers: min(Parallel.processorCount, 4), cancellation: cancellation
    ) { name in
      // Each file is open only while it is read.
      guard let file = try opening.withLock({ try $0.open(name) }) else {
        throw FileError(.cannotOpen, "is no longer there", path: root + "/" + name)
      }
      let digest = try FileDigest.sha256(of: file, cancellation: cancellation, progress: progress)
      resources.withLock { $0.append(Resource(file: name, range: nil, sha256: digest)) }
    }
    manifest.resources = resources.withLock { $0 }.sorted(by: precedes)
    var unread: [String] = []
    for name in CheckpointPlaces.all(in: manifest.resources.map(\.file)) {
      do {
        if let digests = try CheckpointPlaces.digests(
          of: name, in: root, cancellation: cancellation, progress: progress)
        {
          manifest.contents.append(Contents(checkpoint: name, digests: digests))
        }
      } catch let error as any Diagnostic where CheckpointPlaces.isUnreadable(error) {
        unread.append(error.description)
      }
    }
    return (manifest, unread)
  }

  /// The folder that files have in common, and their names in it.
  private static func common(of paths: [String]) throws -> (root: String, names: [String]) {
    var folders: [[Substring]] = []
    var all: [[Substring]] = []
    for path in paths {
      guard Folder.byteCount(ofFileAt: path) != nil else {
        if Folder.exists(at: path) {
          throw FileError(
            .cannotOpen, "is a folder; a manifest describes one folder, or files", path: path)
        }
        _ = try File(readingFrom: path)
        throw FileError(.cannotOpen, "is no regular file", path: path)
      }
      let name = path.split(separator: "/").last ?? ""
      let parent = Folder.resolved(path.contains("/") ? String(path.dropLast(name.count)) : ".")
      guard let parent else { throw FileError(.cannotOpen, "cannot be found", path: path) }
      folders.append(parent.split(separator: "/"))
      all.append(parent.split(separator: "/") + [name])
    }
    var shared = folders.first ?? []
    for folder in folders {
      shared = zip(shared, folder).prefix { $0 == $1 }.map(\.0)
    }
    var names: [String] = []
    for parts in all {
      let name = parts.dropFirst(shared.count).joined(separator: "/")
      if !names.contains(where: { $0.isExactly(name) }) { names.append(name) }
    }
    return ("/" + shared.joined(separator: "/"), names)
  }

  /// The path relative to a folder of a file that need not exist; nil if it is elsewhere.
  static func relative(_ path: String, to root: String) -> String? {
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    let parent = Folder.resolved(path.contains("/") ? String(path.dropLast(name.count)) : ".")
    guard let parent else { return nil }
    let whole = parent == "/" ? "/" + name : parent + "/" + name
    let start = root == "/" ? "/" : root + "/"
    return whole.utf8.starts(with: start.utf8) ? String(whole.dropFirst(start.count)) : nil
  }
}
