package import CkptPlatform

extension Checkpoint {
  /// The identities of the files from which the checkpoint was read, independent of their names:
  /// equal for a folder and the file in it, a sharded checkpoint's index and its folder, and links.
  /// Empty for a new checkpoint.
  package var inputIdentity: Set<File.Identity> { Set(files.map(\.identity)) }

  /// Whether both checkpoints were read from the same files.
  package func isSameInput(as other: Checkpoint) -> Bool {
    !files.isEmpty && inputIdentity == other.inputIdentity
  }
}
