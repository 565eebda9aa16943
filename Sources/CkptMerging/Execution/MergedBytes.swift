internal import CCkptKernels
internal import CkptBytes
internal import CkptPlatform
internal import Synchronization
internal import CkptTensors

/// The bytes of a merged tensor, computed while they are read.
final class MergedBytes: ComputedBytes {
  let inputs: [Tensor]
  let merge: any TensorMerge
  let dtype: DType
  let byteCount: Int
  let isRandomAccess: Bool
  let context: MergeContext
  let tally: MergeTally
  private let prepared: PreparedOnce<any BlockMerge>

  /// The elements of `inputs`, of one shape, merged into elements of `dtype`; `tally` is told of
  /// what is lost.
  init(
    inputs: [Tensor], merge: any TensorMerge, dtype: DType, context: MergeContext,
    tally: MergeTally
  ) throws {
    self.tally = tally
    self.inputs = inputs
    self.merge = merge
    self.dtype = dtype
    self.context = context
    let count = inputs.first?.elementCount ?? 0
    guard let bytes = dtype.byteCount(ofElements: count) else { throw TensorError.tooLarge }
    byteCount = bytes
    isRandomAccess = try inputs.allSatisfy { try $0.contiguousSource().isRandomAccess }
    prepared = PreparedOnce {
      try merge.prepared(
        by: InputPass(
          inputs: inputs, blockCount: merge.blockCount, cancellation: context.cancellation))
    }
  }

  var needsPreparation: Bool { merge.needsPreparation }

  func prepare() throws { _ = try prepared.value() }

  fileprivate func didDeliver(_ count: Int) { prepared.didDeliver(count, of: byteCount) }

  func makeReader(at offset: Int) throws -> any ByteReader {
    try MergingReader(self, prepared.value(), at: offset)
  }
}

/// Reads merged bytes: reads a block of each input, merges it, and converts it to the output type.
private final class MergingReader: StagedReader {
  private let bytes: MergedBytes
  private let merge: any BlockMerge
  private let readers: [ElementReader]
  private let buffers: BlockBuffers
  private let conversion: ElementConversion
  private var after: AlignedBytes
  /// The index of the first element that is not merged yet.
  private var next: Int
  /// The range of staged bytes that have not been returned.
  var pending = 0..<0
  /// Bytes at the start of the first block that lie before the requested offset.
  private var skip: Int

  init(_ bytes: MergedBytes, _ merge: any BlockMerge, at offset: Int) throws {
    self.bytes = bytes
    self.merge = merge
    let width = bytes.dtype.byteCount
    let blockCount = bytes.merge.blockCount
    let first = offset / width / blockCount * blockCount
    readers = try bytes.inputs.map { try $0.makeElementReader(from: first) }
    buffers = BlockBuffers(capacity: blockCount, inputCount: bytes.inputs.count)
    conversion = try ElementConversion(from: .float64, to: bytes.dtype)
    after = AlignedBytes(count: blockCount * width)
    next = first
    skip = offset - first * width
  }

  deinit { bytes.didDeliver(delivered) }

  /// The number of bytes returned so far.
  private var delivered = 0

  func didHandOut(_ byteCount: Int) { delivered += byteCount }

  func makeBlock(wanted: Int) throws {
    let width = bytes.dtype.byteCount
    let count = min(buffers.capacity, bytes.byteCount / width - next)
    guard count > 0 else {
      throw TensorError.outsideStorage(
        storage: "", needed: bytes.byteCount + 1, available: bytes.byteCount)
    }
    try buffers.read(readers, start: next, count: count)
    let block = buffers.block
    if !bytes.context.keepsNaN {
      for input in block.inputs where ck_count_nan(input, count) > 0 {
        throw try bytes.context.errorAboutNaN()
      }
    }
    merge.merge(block)
    if !bytes.context.keepsNaN, ck_count_nan(block.output, count) > 0 {
      throw MergeError.madeNaN(key: bytes.tally.key)
    }
    bytes.tally.addSpecial(of: block)
    bytes.tally.add(
      after.withMutableBytes(first: count * width) { target in
        block.withOutputBytes { conversion.convertCountingLosses(from: $0, to: &target) }
      })
    next += count
    pending = skip..<count * width
    skip = 0
  }

  func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan) {
    after.copyBytes(in: part, to: &target)
  }
}

/// State shared by all tensors of a merge.
final class MergeContext: Sendable {
  let keepsNaN: Bool
  let cancellation: Cancellation
  private let inputs = Mutex<[(key: String, input: String, tensor: Tensor)]>([])
  private let found = Mutex<MergeError?>(nil)

  init(keepsNaN: Bool, cancellation: Cancellation) {
    self.keepsNaN = keepsNaN
    self.cancellation = cancellation
  }

  /// Records an input tensor, so that it can be searched for NaN if any is found.
  func add(key: String, input: String, _ tensor: Tensor) {
    inputs.withLock { $0.append((key, input, tensor)) }
  }

  /// Reads all recorded inputs and returns an error that lists every tensor with NaN. The search
  /// runs once; later calls return the same error.
  func errorAboutNaN() throws -> MergeError {
    try found.withLock { found in
      if let found { return found }
      var all: [MergeError.NaNs] = []
      for (key, input, tensor) in inputs.withLock({ $0 }) {
        let pass = InputPass(
          inputs: [tensor], blockCount: defaultBlockCount, cancellation: cancellation)
        var count = 0
        try pass.eachBlock { count += ck_count_nan($0.inputs[0], $0.count) }
        if count > 0 { all.append(.init(key: key, input: input, count: count)) }
      }
      let error = MergeError.notNumbers(all)
      found = error
      return error
    }
  }
}
