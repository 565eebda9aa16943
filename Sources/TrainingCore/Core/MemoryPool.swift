internal import Foundation
internal import Synchronization

/// Keeps freed blocks for reuse. Training steps allocate the same sizes repeatedly, and new pages
/// from the system take longer than many operations on them.
enum MemoryPool {
  private struct Shelf: @unchecked Sendable {
    var blocks: [Int: [UnsafeMutableRawPointer]] = [:]
    var kept = 0
    var inUse = 0
    var peak = 0
  }

  private static let shelf = Mutex(Shelf())
  /// The smallest size in bytes that is kept; the system's allocator is fast for smaller blocks.
  private static let smallest = 1 << 14

  /// The size of the block for a request: there are eight sizes between powers of two.
  private static func blockSize(_ byteCount: Int) -> Int? {
    guard byteCount >= 0, byteCount < 1 << 46 else { return nil }
    let least = max(byteCount, 64)
    let step = max(64, 1 << (Int.bitWidth - 1 - least.leadingZeroBitCount - 3))
    return (least + step - 1) / step * step
  }

  /// A block of at least that size in bytes, aligned to 64 bytes; nil if the system has none.
  static func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    guard let size = blockSize(byteCount) else { return nil }
    let kept: UnsafeMutableRawPointer? = shelf.withLock { shelf in
      shelf.inUse += size
      shelf.peak = max(shelf.peak, shelf.inUse)
      guard size >= smallest, let block = shelf.blocks[size]?.popLast() else { return nil }
      shelf.kept -= size
      return block
    }
    if let kept { return kept }
    var block: UnsafeMutableRawPointer?
    if posix_memalign(&block, 64, size) != 0 { block = nil }
    if block == nil {
      empty()
      if posix_memalign(&block, 64, size) != 0 { block = nil }
    }
    if block == nil { shelf.withLock { $0.inUse -= size } }
    return block
  }

  /// Frees a block of the given size that `take` returned.
  static func give(_ block: UnsafeMutableRawPointer, _ byteCount: Int) {
    guard let size = blockSize(byteCount) else { return }
    let isKept: Bool = shelf.withLock { shelf in
      shelf.inUse -= size
      // Blocks in the sizes of one step do not fit others, so the pool keeps up to a sixth of the
      // peak in addition. More makes steps faster and takes more memory (docs/performance-training.md).
      guard size >= smallest, shelf.kept + shelf.inUse + size <= shelf.peak + shelf.peak / 6 else {
        return false
      }
      shelf.blocks[size, default: []].append(block)
      shelf.kept += size
      return true
    }
    if !isKept { free(block) }
  }

  /// Returns all kept blocks to the system.
  static func empty() {
    let blocks: [UnsafeMutableRawPointer] = shelf.withLock { shelf in
      nonisolated(unsafe) let all = shelf.blocks.values.flatMap(\.self)
      shelf.blocks = [:]
      shelf.kept = 0
      shelf.peak = shelf.inUse
      return all
    }
    for block in blocks { free(block) }
  }

  /// The number of bytes in use, and its maximum so far.
  static var usage: (inUse: Int, peak: Int) { shelf.withLock { ($0.inUse, $0.peak) } }
}
