package import CkptPlatform
internal import CkptText

/// Where a distributed checkpoint stores its objects and the chunks of its tensors, according to
/// its `.metadata`; each is an archive of its own in one of the files.
package struct DistributedLayout {
  /// One archive.
  package struct Archive {
    /// The name of the file in the folder.
    package let file: String
    /// The byte range in the file; it may lie outside the file.
    package let range: Range<Int>
    /// The path of the object or tensor in the nested state dict.
    package let key: String
    /// The name in error messages: the object's or tensor's, and where in the tensor the chunk is.
    package let name: String
  }

  /// The archives, sorted by file and position.
  package let archives: [Archive]
  /// The `.metadata` file.
  package let metadata: File

  /// Whether an input is read as a distributed checkpoint.
  ///
  /// - Throws: `FileError`.
  package static func isRecognized(_ input: CheckpointInput) throws -> Bool {
    try FormatRegistry.readers.first { try $0.recognizes(input) } == DistributedReader.self
  }

  /// Reads the `.metadata` file of a folder; no other file is opened.
  ///
  /// - Throws: `CheckpointError`; `FileError`.
  package init(_ folder: Folder) throws {
    let (found, file) = try DistributedReader.metadata(of: folder)
    metadata = file
    archives = try found.positions.map { index, place in
      let (end, overflow) = place.offset.addingReportingOverflow(place.byteCount)
      guard !overflow else {
        throw CheckpointError.notACheckpoint(
          file: file.path, "\(DistributedReader.shown(index)) ends beyond any file")
      }
      return Archive(
        file: place.file, range: place.offset..<end,
        key: NestedObjects.written(found.paths[index.name] ?? [.key(index.name)]),
        name: DistributedReader.shown(index))
    }
    .sorted {
      ($0.file, $0.range.lowerBound, $0.range.upperBound, $0.name)
        < ($1.file, $1.range.lowerBound, $1.range.upperBound, $1.name)
    }
  }

  /// Reads the objects of one archive.
  ///
  /// - Throws: `CheckpointError`, `ZipError`, or `ChecksumError` for a damaged archive;
  ///   `FileError`.
  package static func checkObjects(of archive: Archive, in file: File) throws {
    _ = try PyTorchZipReader.document(in: file, part: archive.range)
  }
}
