internal import CkptBytes
internal import CkptPlatform
internal import CkptZip

extension FuzzTarget {
  /// Zip and tar archives, and the formats in them.
  static let archives: [FuzzTarget] = [
    FuzzTarget("zip") { bytes, folder in
      let archive = try ZipReader(path: folder.write(bytes, to: "x.zip"))
      for entry in archive.entries {
        do {
          let offset = try archive.dataOffset(of: entry)
          try Fault.unless(
            offset >= 0 && offset + entry.compressedByteCount <= bytes.count,
            "a record lies outside the file")
          let content = try archive.read(entry, limit: 1 << 20)
          try Fault.unless(content.count == entry.byteCount, "a record has another size")
        } catch let fault as Fault {
          throw fault
        } catch {}
      }
      _ = try archive.checkRecords(workers: 1)
    },
    checkpoint("checkpoint"), checkpoint("legacy"), checkpoint("tar"), checkpoint("npz"),
    FuzzTarget("verify") { bytes, folder in
      try CheckpointExercise.scanAndVerify(folder.write(bytes, to: "x.pt"))
    },
  ]

  /// A target that opens the bytes as a checkpoint of any format. Targets that differ in their name
  /// have different first files.
  static func checkpoint(_ name: String) -> FuzzTarget {
    FuzzTarget(name) { bytes, folder in
      try CheckpointExercise.run(folder.write(bytes, to: "x.pt"))
    }
  }
}
