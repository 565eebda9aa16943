internal import CCkptKernels
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

/// The same stretch of all inputs of a merge, as float64, and room to work in.
///
/// The memory belongs to a `BlockBuffers`; a block is valid until the next one is read.
struct MergeBlock {
  /// The number of its first element, in row-major order.
  var start: Int
  /// How many elements it has.
  var count: Int
  /// The inputs' elements, in the order of the inputs.
  let inputs: [UnsafeMutablePointer<Double>]
  /// Where the result goes.
  let output: UnsafeMutablePointer<Double>
  /// Rows of room for float64, as many as there are inputs.
  let scratch: [UnsafeMutablePointer<Double>]
  /// The same rows, as the kernels take them.
  let rows: [UnsafePointer<Double>?]
  /// Rows of room for 32-bit words, as many as there are inputs.
  let words: [UnsafeMutablePointer<UInt32>]
}

/// The memory of one reader's blocks; allocated once.
final class BlockBuffers {
  let capacity: Int
  private let doubles: AlignedBuffer<Double>
  private let words: AlignedBuffer<UInt32>
  private(set) var block: MergeBlock

  /// Room for blocks of up to `capacity` elements of `inputCount` inputs.
  init(capacity: Int, inputCount: Int) {
    self.capacity = capacity
    // Rows that lie a power of two apart would share the cache's sets.
    let step = capacity + 24
    doubles = AlignedBuffer(count: max(step * (2 * inputCount + 1), 1))
    words = AlignedBuffer(count: max(step * inputCount, 1))
    guard let doubles = doubles.elements.baseAddress, let words = words.elements.baseAddress else {
      preconditionFailure("a buffer that is not empty has an address")
    }
    block = MergeBlock(
      start: 0, count: 0, inputs: (0..<inputCount).map { doubles + $0 * step },
      output: doubles + 2 * inputCount * step,
      scratch: (inputCount..<2 * inputCount).map { doubles + $0 * step },
      rows: (inputCount..<2 * inputCount).map { UnsafePointer(doubles + $0 * step) },
      words: (0..<inputCount).map { words + $0 * step })
  }

  /// Reads the next `count` elements, which begin at `start`.
  func read(_ readers: [ElementReader], start: Int, count: Int) throws {
    for (reader, target) in zip(readers, block.inputs) {
      try reader.read(into: UnsafeMutableBufferPointer(start: target, count: count))
    }
    block.start = start
    block.count = count
  }
}

/// Goes through all inputs of one merged tensor from front to back, as often as a method asks.
struct InputPass {
  let inputs: [Tensor]
  let blockCount: Int
  let cancellation: Cancellation

  /// How many elements each input has.
  var elementCount: Int { inputs.first?.elementCount ?? 0 }

  /// Passes each block on, in order.
  func eachBlock(_ body: (MergeBlock) throws -> Void) throws {
    let buffers = BlockBuffers(capacity: blockCount, inputCount: inputs.count)
    let readers = try inputs.map { try $0.makeElementReader() }
    for start in stride(from: 0, to: elementCount, by: blockCount) {
      try cancellation.check()
      try buffers.read(readers, start: start, count: min(blockCount, elementCount - start))
      try body(buffers.block)
    }
  }
}

/// How one tensor is merged: what must be found out first, and then a block at a time.
protocol TensorMerge: Sendable {
  /// How many elements a block has; for methods that look at rows, whole rows.
  var blockCount: Int { get }
  /// Whether `prepared(by:)` goes through the inputs.
  var needsPreparation: Bool { get }
  /// Goes through the inputs and gives what merges the blocks.
  func prepared(by pass: InputPass) throws -> any BlockMerge
}

/// Merges block by block; the same result for any order and any number of threads.
protocol BlockMerge: Sendable {
  /// Fills the block's output.
  func merge(_ block: MergeBlock)
}

extension TensorMerge {
  var blockCount: Int { defaultBlockCount }
  var needsPreparation: Bool { true }
}

/// Blocks of three inputs and as much room fit in a cache of 256 KB.
let defaultBlockCount = 4096
