internal import CkptBytes
internal import CkptIO
internal import CkptInspection
internal import CkptIntegrity
internal import CkptPlatform
internal import CkptScanning
internal import CkptStateDicts
internal import CkptTensors

/// What commands do with an open checkpoint.
enum CheckpointExercise {
  /// Opens a checkpoint, looks at its objects, and reads its tensors in several ways, which must
  /// agree.
  static func run(_ path: String) throws {
    let checkpoint = try Checkpoint(contentsOf: path)
    _ = try checkpoint.objectTree(depth: 5, limit: 20)
    let stateDict = try checkpoint.stateDict()
    for (key, tensor) in stateDict.tensors.prefix(20) { try read(tensor, key) }
    try ignoringErrors { _ = try stateDict.statistics(withHistograms: true, workers: 1) }
    try ignoringErrors { _ = try stateDict.digest(workers: 1) }
    try ignoringErrors {
      var options = StateDictDifference.Options()
      options.workers = 1
      options.tolerance = Tolerance(equalNaN: true)
      let same = try stateDict.difference(to: stateDict, options: options)
      try Fault.unless(same.changed.isEmpty, "a state dict differs from itself")
    }
    _ = try checkpoint.plainValue()
  }

  /// Rates what a file would do when it is loaded, and checks whether it is intact.
  static func scanAndVerify(_ path: String) throws {
    try ignoringErrors { _ = try Checkpoint.scan(contentsOf: path) }
    try ignoringErrors { _ = try Checkpoint.verify(contentsOf: path) }
  }

  /// Writes the checkpoint in its own format, and opens what was written.
  static func rewrite(_ path: String, in folder: FuzzFolder) throws {
    let checkpoint = try Checkpoint(contentsOf: path)
    let out = folder.path + "/out"
    guard let plan = try? checkpoint.plan(writingTo: out, options: .init(format: .pytorchZip)),
      plan.byteCount < 1 << 20
    else { return }
    do {
      try plan.write(replacingExisting: true)
    } catch {
      return
    }
    do {
      _ = try Checkpoint(contentsOf: out)
    } catch {
      throw Fault(problem: "what was written cannot be opened: \(error)")
    }
  }

  private static func read(_ tensor: Tensor, _ key: String) throws {
    guard !tensor.isMeta, tensor.byteCount < 1 << 16 else { return }
    let (bytes, others): ([UInt8], [UInt8])
    do {
      (bytes, others) = (
        try tensor.contiguousBytes(), try tensor.contiguousSource().allBytes()
      )
    } catch {
      return
    }
    try Fault.unless(bytes.count == tensor.byteCount, "\(key) has \(bytes.count) bytes")
    try Fault.unless(bytes == others, "\(key) is read in two ways")
    try ignoringErrors { _ = try tensor.floats() }
    try ignoringErrors { _ = try tensor.viewAsReal().contiguousSource().allBytes() }
  }

  private static func ignoringErrors(_ body: () throws -> Void) throws(Fault) {
    do {
      try body()
    } catch let fault as Fault {
      throw fault
    } catch {}
  }
}
