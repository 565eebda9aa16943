internal import Foundation
internal import Platform
internal import Synchronization
internal import TensorStore

/// The one owner of a run of elements in memory, aligned to 64 bytes; variables look into it.
///
/// It may be filled only when somebody first looks at it: weights that are loaded from a file are
/// never initialised at random before.
final class Memory: @unchecked Sendable {
  let byteCount: Int
  private let base: UnsafeMutableRawPointer
  /// What fills it; until then its bytes mean nothing. Changed under the lock alone.
  private var filler: ((UnsafeMutableRawPointer) -> Void)?
  private let isToBeFilled: Atomic<Bool>
  private let filling = Mutex(())
  /// The storage by which state dicts see it: one as long as any is in use, so that tied weights stay
  /// tied. (It holds the memory, so the memory must not hold it.)
  private let shared = Mutex(Weak())

  private struct Weak: Sendable {
    weak var storage: Storage?
  }

  /// Memory that `filler` fills when it is first looked at; without one, with whatever is in it.
  init(byteCount: Int, filler: ((UnsafeMutableRawPointer) -> Void)? = nil) throws {
    guard let base = MemoryPool.take(byteCount) else {
      throw TrainingError.outOfMemory(byteCount: byteCount)
    }
    self.byteCount = byteCount
    self.base = base
    self.filler = filler
    isToBeFilled = Atomic(filler != nil)
  }

  deinit { MemoryPool.give(base, byteCount) }

  /// Where its bytes are; valid as long as the object is.
  var pointer: UnsafeMutableRawPointer {
    if isToBeFilled.load(ordering: .acquiring) {
      filling.withLock { _ in
        filler?(base)
        filler = nil
        isToBeFilled.store(false, ordering: .releasing)
      }
    }
    return base
  }

  /// Where its bytes are, to be overwritten all.
  var pointerToOverwrite: UnsafeMutableRawPointer {
    filling.withLock { _ in
      filler = nil
      isToBeFilled.store(false, ordering: .releasing)
    }
    return base
  }

  /// The storage that shares these bytes.
  var storage: Storage {
    shared.withLock { shared in
      if let storage = shared.storage { return storage }
      let made = Storage(.computed(MemoryBytes(memory: self, byteCount: byteCount)))
      shared.storage = made
      return made
    }
  }
}

/// A memory's bytes as a state dict's storage has them: no copy; later changes are seen.
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

    func read(into buffer: UnsafeMutableRawBufferPointer) throws {
      precondition(offset + buffer.count <= memory.byteCount)
      buffer.copyMemory(
        from: UnsafeRawBufferPointer(start: memory.pointer + offset, count: buffer.count))
      offset += buffer.count
    }
  }
}
