internal import CkptBytes
internal import CkptIO
internal import CkptPlatform
internal import CkptTensors

// Files in which the storages follow the pickles.

extension Repair {
  /// Repairs a file of PyTorch before 1.6.
  func repairLegacy(_ file: File) throws -> RepairedCheckpoint {
    let salvaged: SalvagedPickles
    do {
      salvaged = try LegacyReader.salvage(file, unverified: options.keepsUnverified)
    } catch let error as CheckpointError {
      throw nothingLeft(file, error) { try LegacyReader.salvage(file, unverified: true) }
    }
    return try repaired(salvaged, file, as: .pytorchLegacy)
  }

  /// Repairs a tar archive of PyTorch before 0.1.10.
  func repairTar(_ file: File) throws -> RepairedCheckpoint {
    let salvaged: SalvagedPickles
    do {
      salvaged = try TarReader.salvage(file, unverified: options.keepsUnverified)
    } catch let error as CheckpointError {
      throw nothingLeft(file, error) { try TarReader.salvage(file, unverified: true) }
    }
    return try repaired(salvaged, file, as: .pytorchTar)
  }

  /// The error if an error leaves nothing to be saved, unless damaged objects are kept.
  private func nothingLeft(
    _ file: File, _ error: CheckpointError, unverified: () throws -> SalvagedPickles
  ) -> RepairError {
    .nothingLeft(
      file: file.path, error.problemAlone(in: file.path),
      canBeUnverified: !options.keepsUnverified && (try? unverified()) != nil)
  }

  private func repaired(
    _ salvaged: SalvagedPickles, _ file: File, as format: Checkpoint.Format
  ) throws -> RepairedCheckpoint {
    let end = try dataEnd(of: file)
    var storages: [UInt32: Storage] = [:]
    var remains: [ObjectIdentifier: Remains] = [:]
    var known: [Place: Storage] = [:]
    for (number, region) in salvaged.regions.sorted(by: { $0.key < $1.key }) {
      let place = Place(name: region.name, offset: region.offset, byteCount: region.byteCount)
      if let storage = known[place] {
        storages[number] = storage
        continue
      }
      let left = Remains(region, upTo: end, reason: "the file ends before its last byte")
      let storage = Storage(left.source, name: region.name)
      remains[ObjectIdentifier(storage)] = left
      (known[place], storages[number]) = (storage, storage)
    }
    return try GraphRepair(
      salvaged.graph, StorageTable(storages), remains: remains, format: format, file: file
    ).repaired(
      options, problems: salvaged.problems, unresolved: salvaged.unresolved,
      lacksObjects: salvaged.lacksObjects)
  }

  /// A storage's place, by which persistent IDs of one storage are recognized.
  private struct Place: Hashable {
    let name: String
    let offset: Int
    let byteCount: Int
  }

  /// The end of the data of a file without checksums.
  func dataEnd(of file: File) throws -> Int {
    options.keepsUnverified ? file.size : try DataEnd.offset(in: file, cancellation)
  }
}

extension Diagnostic {
  /// The description without the path of the file, if it ends with it.
  func problemAlone(in path: String) -> String {
    let ending = " (\(path))"
    return description.hasSuffix(ending) ? String(description.dropLast(ending.count)) : description
  }
}
