internal import StateDictKit

/// Compares files with recorded digests, and prints the result, for `verify --manifest` and
/// `verify --lfs`.
struct RecordedDigests {
  private let common: CommonOptions

  init(_ common: CommonOptions) { self.common = common }

  // MARK: - Manifests

  private struct Report: Encodable {
    struct Change: Encodable {
      let file: String
      /// `same`, `different`, `unrecorded`, or `unreadable`.
      let tensors: String
      let changed, missing, added: [String]?
      let problem: String?
    }
    let manifest, path: String
    let intact: Bool
    let files, bytes: Int
    let changed: [Change]
    let missing, added: [String]
    /// Whether the manifest is a signature's, which was not verified.
    let signature_not_verified: Bool
  }

  /// Compares a folder, or a file, with a manifest.
  ///
  /// - Parameter path: nil for the manifest's own folder.
  func compare(_ path: String?, withManifest manifestPath: String) throws {
    let manifest = try ModelManifest(reading: File(readingFrom: manifestPath))
    let path = path ?? Folder.parent(of: manifestPath)
    let report = try reading(0, common) { cancellation, progress in
      try ManifestReport(
        of: path, against: manifest, readFrom: manifestPath, cancellation: cancellation,
        progress: progress)
    }
    if common.json {
      try printJSON(
        Report(
          manifest: manifestPath, path: path, intact: report.isIntact, files: report.fileCount,
          bytes: report.byteCount, changed: report.changed.map(Self.encoded),
          missing: report.missing, added: report.added, signature_not_verified: report.isSigned))
    } else {
      show(report)
    }
    if !report.isIntact { throw NegativeAnswer() }
  }

  private static func encoded(_ change: ManifestReport.Change) -> Report.Change {
    let file = change.file
    func made(_ tensors: String, _ problem: String? = nil) -> Report.Change {
      Report.Change(
        file: file, tensors: tensors, changed: nil, missing: nil, added: nil, problem: problem)
    }
    switch change.tensors {
    case .unrecorded: return made("unrecorded")
    case .same: return made("same")
    case .unreadable(let problem): return made("unreadable", problem)
    case .different(let changed, let missing, let added):
      return Report.Change(
        file: file, tensors: "different", changed: changed, missing: missing, added: added,
        problem: nil)
    }
  }

  private func show(_ report: ManifestReport) {
    for change in report.changed {
      print("changed: \(Messages.line(change.file))" + Messages.line(Self.text(change.tensors)))
    }
    for name in report.missing { print("missing: \(Messages.line(name))") }
    for name in report.added { print("not in the manifest: \(Messages.line(name))") }
    if report.isSigned {
      print(
        "the manifest is that of a signature, which was not verified: model_signing verify does")
    }
    let counts = "\(report.fileCount) files, \(bytesText(report.byteCount))"
    let wrong = report.changed.count + report.missing.count + report.added.count
    print((report.isIntact ? "intact: " : "\(wrong) differ: ") + counts)
  }

  private static func text(_ tensors: ManifestReport.Tensors) -> String {
    switch tensors {
    case .unrecorded: return ""
    case .same: return ": all tensors are as recorded; the container or other objects differ"
    case .unreadable(let problem): return ": \(problem)"
    case .different(let changed, let missing, let added):
      var parts: [String] = []
      for (what, keys) in [("changed", changed), ("missing", missing), ("new", added)]
      where !keys.isEmpty {
        var list = keys.prefix(5).joined(separator: ", ")
        if keys.count > 5 { list += ", … (\(keys.count))" }
        parts.append("\(what) tensors: \(list)")
      }
      return ": " + parts.joined(separator: "; ")
    }
  }

  // MARK: - Git LFS

  private struct PointerReport: Encodable {
    let file: String
    let intact: Bool
    let kind, recorded: String
    let found: String?
    let bytes: Int
    let recorded_bytes: Int?
  }

  /// Compares a file with a pointer, a digest, or what the Hub's cache records.
  func compare(_ path: String, withPointer text: String) throws {
    let recorded = try LFSDigest(text, for: path)
    let report = try reading(Folder.byteCount(ofFileAt: path) ?? 0, common) {
      cancellation, progress in
      try LFSReport(of: path, against: recorded, cancellation: cancellation, progress: progress)
    }
    if common.json {
      try printJSON(
        PointerReport(
          file: path, intact: report.isIntact, kind: recorded.kind.rawValue,
          recorded: recorded.digest, found: report.digest, bytes: report.byteCount,
          recorded_bytes: recorded.byteCount))
    } else if report.isIntact {
      print("intact: \(recorded.kind.rawValue) \(recorded.digest), \(bytesText(report.byteCount))")
    } else if let digest = report.digest {
      print("damaged: \(recorded.kind.rawValue) is \(digest), not \(recorded.digest)")
    } else {
      print(
        "damaged: it has \(report.byteCount) bytes, not \(recorded.byteCount ?? 0)"
          + (report.isPointer ? "; it is a pointer itself, in place of the file" : ""))
    }
    if !report.isIntact { throw NegativeAnswer() }
  }
}
