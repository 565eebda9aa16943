internal import CkptPlatform
internal import Foundation
internal import CkptBytes
internal import Synchronization
internal import CkptTensors

/// Owns a block of memory, aligned to 64 bytes, which returns to the ``MemoryPool`` when the owner
/// is destroyed.
struct PooledBytes: ~Copyable {
  let base: UnsafeMutableRawPointer
  let byteCount: Int

  /// A block whose bytes are not initialized.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  init(byteCount: Int) throws {
    guard let base = MemoryPool.take(byteCount) else {
      throw TrainingError.outOfMemory(byteCount: byteCount)
    }
    self.base = base
    self.byteCount = byteCount
  }

  deinit { MemoryPool.give(base, byteCount) }
}

/// The elements of variables in memory, aligned to 64 bytes; views share them.
///
/// They may be initialized lazily, when they are first read: weights that are loaded from a file
/// are never initialized at random.
final class Memory: @unchecked Sendable {
  private let bytes: PooledBytes
  /// Initializes the bytes; nil if they are initialized. Changed only while the lock is held.
  private var filler: ((UnsafeMutableRawPointer) -> Void)?
  private let isToBeFilled: Atomic<Bool>
  private let filling = Mutex(())
  /// The storage of tensors that share these bytes: the same one as long as any is in use, so that
  /// tied weights stay tied. (It retains the memory, so the memory must not retain it.)
  private let shared = Mutex(Weak())

  private struct Weak: Sendable {
    weak var storage: Storage?
  }

  /// The number of bytes.
  var byteCount: Int { bytes.byteCount }

  /// Memory that `filler` initializes when it is first read; without a filler it is not
  /// initialized.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  init(byteCount: Int, filler: ((UnsafeMutableRawPointer) -> Void)? = nil) throws {
    bytes = try PooledBytes(byteCount: byteCount)
    self.filler = filler
    isToBeFilled = Atomic(filler != nil)
  }

  /// The address of the first byte, after lazy initialization; valid as long as the object is.
  var pointer: UnsafeMutableRawPointer {
    if isToBeFilled.load(ordering: .acquiring) {
      filling.withLock { _ in
        filler?(bytes.base)
        filler = nil
        isToBeFilled.store(false, ordering: .releasing)
      }
    }
    return bytes.base
  }

  /// The address of the first byte, for overwriting all bytes: lazy initialization is skipped.
  var pointerToOverwrite: UnsafeMutableRawPointer {
    filling.withLock { _ in
      filler = nil
      isToBeFilled.store(false, ordering: .releasing)
    }
    return bytes.base
  }

  /// Calls `body` with all bytes, which it overwrites: lazy initialization is skipped.
  ///
  /// - Throws: what `body` throws.
  func overwrite(_ body: (inout MutableRawSpan) throws -> Void) rethrows {
    var bytes = UnsafeMutableRawBufferPointer(start: pointerToOverwrite, count: byteCount)
      .mutableBytes
    try body(&bytes)
  }

  /// The storage of tensors that share these bytes.
  var storage: Storage {
    shared.withLock { shared in
      if let storage = shared.storage { return storage }
      let made = Storage(.computed(MemoryBytes(memory: self, byteCount: byteCount)))
      shared.storage = made
      return made
    }
  }
}

/// The bytes of a memory as the source of a storage, without a copy; later changes are visible.
private struct MemoryBytes: ComputedBytes {
  let memory: Memory
  let byteCount: Int

  var isRandomAccess: Bool { true }

  func makeReader(at offset: Int) throws -> any ByteReader {
    Reader(memory: memory, offset: offset)
  }

  private final class Reader: ByteReader {
    let memory: Memory
    var offset: Int

    init(memory: Memory, offset: Int) {
      self.memory = memory
      self.offset = offset
    }

    func read(into bytes: inout MutableRawSpan) throws {
      let all = UnsafeRawBufferPointer(start: memory.pointer, count: memory.byteCount).bytes
      bytes.copy(all.extracting(offset..<offset + bytes.byteCount))
      offset += bytes.byteCount
    }
  }
}
