package import CkptPlatform

extension Checkpoint {
  /// Which files it was read from, whatever they were called: equal for a folder and the file in it, a shard set's
  /// index and its folder, links of either kind. Empty for a checkpoint that was made here.
  package var inputIdentity: Set<File.Identity> { Set(files.map(\.identity)) }

  /// Whether both were read from the same files.
  package func isSameInput(as other: Checkpoint) -> Bool {
    !files.isEmpty && inputIdentity == other.inputIdentity
  }
}
