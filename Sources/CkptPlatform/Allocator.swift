internal import CCkptLinux

/// How the process's memory is handed out.
package enum Allocator {
  /// Lets large arrays go back to the system as soon as nobody needs them.
  ///
  /// glibc else keeps more and more of them for later, up to 32 MB each; of the peak of a checkpoint with
  /// 100,000 tensors that is a tenth. For a process to say at its start, not for a library.
  package static func returnsLargeBlocks() {
    #if os(Linux)
      _ = mallopt(M_MMAP_THRESHOLD, 1 << 20)
    #endif
  }
}
