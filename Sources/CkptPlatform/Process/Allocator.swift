internal import CCkptLinux

/// Settings of the process's memory allocator.
package enum Allocator {
  /// Makes the allocator return large blocks to the system as soon as they are freed.
  ///
  /// By default, glibc keeps freed blocks of up to 32 MB for reuse, which is a tenth of the peak
  /// memory for a checkpoint with 100,000 tensors. To be called by a program at its start, not by a
  /// library.
  package static func returnsLargeBlocks() {
    #if os(Linux)
      _ = mallopt(M_MMAP_THRESHOLD, 1 << 20)
    #endif
  }
}
