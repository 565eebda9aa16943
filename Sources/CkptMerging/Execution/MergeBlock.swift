internal import CkptPlatform
internal import CkptTensors

/// The same range of elements of all inputs of a merge, as float64, with working memory for the
/// method.
struct MergeBlock {
  /// The index of the block's first element, in row-major order.
  var start: Int
  /// The number of elements in the block.
  var count: Int
  /// The inputs' elements, in the order of the inputs.
  let inputs: [UnsafeMutablePointer<Double>]
  /// The merged elements, filled by `BlockMerge.merge(_:)`.
  let output: UnsafeMutablePointer<Double>
  /// Working memory: as many rows of float64 as there are inputs.
  let scratch: [UnsafeMutablePointer<Double>]
  /// The `scratch` rows, typed as the C kernels take them.
  let rows: [UnsafePointer<Double>?]
  /// Working memory: as many rows of 32-bit words as there are inputs.
  let words: [UnsafeMutablePointer<UInt32>]

  /// Calls `body` with the bytes of the merged elements.
  func withOutputBytes<Result>(_ body: (RawSpan) -> Result) -> Result {
    body(UnsafeRawBufferPointer(UnsafeBufferPointer(start: output, count: count)).bytes)
  }
}

/// The memory of one reader's blocks, allocated once and reused for each block.
final class BlockBuffers {
  let capacity: Int
  private let doubles: AlignedBuffer<Double>
  private let words: AlignedBuffer<UInt32>
  private(set) var block: MergeBlock

  /// Allocates memory for blocks of up to `capacity` elements of `inputCount` inputs.
  init(capacity: Int, inputCount: Int) {
    self.capacity = capacity
    // Padding: rows a power of two apart would map to the same cache sets.
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

  /// Reads the next `count` elements of each input into `block`. `start` is the index of the first
  /// of them; the readers must be positioned there.
  func read(_ readers: [ElementReader], start: Int, count: Int) throws {
    for (reader, target) in zip(readers, block.inputs) {
      var numbers = UnsafeMutableBufferPointer(start: target, count: count).mutableSpan
      try reader.read(into: &numbers)
    }
    block.start = start
    block.count = count
  }
}

/// A sequential pass over all inputs of one merged tensor; it can be repeated as often as a method
/// needs.
struct InputPass {
  let inputs: [Tensor]
  /// The number of elements in a block.
  let blockCount: Int
  let cancellation: Cancellation

  /// The number of elements in each input.
  var elementCount: Int { inputs.first?.elementCount ?? 0 }

  /// Calls `body` with each block, in order.
  ///
  /// - Throws: what reading throws, what `body` throws, and the error of `cancellation` when
  ///   canceled.
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

/// A merge of one tensor: an optional preparation that reads all inputs, then a computation block
/// by block.
protocol TensorMerge: Sendable {
  /// The number of elements in a block; whole rows for methods that work on rows.
  var blockCount: Int { get }
  /// Whether `prepared(by:)` reads the inputs.
  var needsPreparation: Bool { get }
  /// Reads the inputs as often as needed and returns the merge of the blocks.
  func prepared(by pass: InputPass) throws -> any BlockMerge
}

/// Merges one block at a time. The result does not depend on the order of the blocks or the number
/// of threads.
protocol BlockMerge: Sendable {
  /// Computes the block's output from its inputs.
  func merge(_ block: MergeBlock)
}

extension TensorMerge {
  var blockCount: Int { defaultBlockCount }
  var needsPreparation: Bool { true }
}

/// The default number of elements in a block: three inputs with their working memory fit in a 256
/// KB cache.
let defaultBlockCount = 4096
