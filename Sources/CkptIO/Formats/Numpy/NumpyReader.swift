internal import CkptText
internal import CkptPlatform
internal import CkptNumpy
internal import CkptStateDicts
package import CkptBytes
package import CkptTensors
internal import CkptZip

/// Reads an `.npy` file: one array, with the name that `numpy.savez` gives to the first array.
package enum NumpyReader: FormatReader {
  static let key = "arr_0"

  package static func recognizes(_ input: CheckpointInput) -> Bool {
    guard case .file(_, let start) = input else { return false }
    return start.starts(with: NumpyHeader.magic)
  }

  package static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else { throw input.isNoFile }
    let source = ByteSource.region(
      FileRegion(file: file, offset: 0, byteCount: file.size, name: key))
    var stateDict = StateDict()
    stateDict[key] = try tensor(source, name: key, file: file.path, exactly: false)
    return try CheckpointDocument(stateDict, format: .npy, path: file.path, files: [file])
  }

  /// Reads the array in `source`, which includes the header.
  ///
  /// - Parameter exactly: whether bytes after the array are an error.
  /// - Throws: `NumpyError` for an invalid header, or an array that exceeds the source.
  package static func tensor(
    _ source: ByteSource, name: String, file: String, exactly: Bool
  ) throws -> Tensor {
    // The header's checksum is compared with that of the elements, before one of them is used.
    let start = try source.unverifiedStart(min(source.byteCount, NumpyHeader.prefixByteCount))
    let count = try NumpyHeader.byteCount(of: start, file: file)
    guard count <= source.byteCount else {
      throw NumpyError.badHeader(file: file, "the header is cut off")
    }
    let bytes = try source.unverifiedStart(count)
    let header = try NumpyHeader(bytes, file: file)
    var elements = source.part(count..<source.byteCount)
    if elements.byteCount == 0 {
      _ = try source.makeReader(at: 0)
    } else if case .region(let whole) = source, let recorded = whole.recordedCRC32 {
      // The checksum of the bytes after the header, computed from the record's.
      let rest =
        recorded
        ^ Checksum.combined(Checksum.crc32(bytes), 0, secondByteCount: elements.byteCount)
      elements = .region(
        FileRegion(
          file: whole.file, offset: whole.offset + count, byteCount: elements.byteCount,
          recordedCRC32: rest, name: whole.name))
    }
    let tensor = try header.tensor(elements, name: name, file: file)
    guard !exactly || tensor.byteCount == elements.byteCount else {
      throw NumpyError.badHeader(
        file: file, "\(elements.byteCount - tensor.byteCount) bytes stand behind the array")
    }
    return tensor
  }
}

/// Reads an `.npz` file: a zip archive of arrays, stored or deflated.
package enum NumpyArchiveReader: FormatReader {
  /// The ending of the records' names.
  package static let ending = ".npy"

  package static func recognizes(_ input: CheckpointInput) throws -> Bool {
    guard case .file(_, let start) = input, start.count > 30,
      start.starts(with: [0x50, 0x4B, 3, 4])
    else { return false }
    // The name of the first record determines the format.
    let count = Int(UInt16(littleEndian: start[26..<28]))
    return start.dropFirst(30).prefix(count).suffix(ending.utf8.count).elementsEqual(ending.utf8)
  }

  package static func document(of input: CheckpointInput) throws -> CheckpointDocument {
    guard case .file(let file, _) = input else { throw input.isNoFile }
    let archive = try ZipReader(file)
    var stateDict = StateDict()
    for entry in archive.entries {
      guard entry.name.hasSuffix(ending) else {
        throw CheckpointError.badRecord(
          file: file.path, record: entry.name, "a record of an .npz archive that is no array")
      }
      do {
        stateDict[String(entry.name.dropLast(ending.count))] = try NumpyReader.tensor(
          archive.source(of: entry), name: entry.name, file: file.path, exactly: true)
      } catch let error as NumpyError {
        throw error.inRecord(entry.name)
      }
    }
    return try CheckpointDocument(stateDict, format: .npz, path: file.path, files: [file])
  }
}
