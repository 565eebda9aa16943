internal import CkptPlatform
internal import CkptBytes
internal import Synchronization

extension Tensor {
  /// A lazy, contiguous tensor with the same numbers in another dtype. Elements are converted when
  /// they are read.
  ///
  /// This is `tensor.to(dtype)` in PyTorch. Conjugate and negative views are resolved.
  ///
  /// - Parameter losses: counts the numbers that cannot be represented, each time they are read.
  /// - Throws: `TensorError.noData` for a meta tensor; `TensorError.noConversion` for quantized and
  ///   packed types; `TensorError.expandedTooFar`.
  public func converting(
    to type: DType, countingInto losses: ConversionTally? = nil
  ) throws(TensorError) -> Tensor {
    let bytes = try ConvertedBytes(
      contiguousSource(), ElementConversion(from: dtype, to: type), losses,
      isConjugate: isConjugate, isNegative: isNegative)
    var tensor = try Tensor(
      storage: Storage(.computed(bytes), name: storage.name), dtype: type, shape: shape)
    tensor.requiresGrad = requiresGrad && type.isFloat
    tensor.isParameter = isParameter
    return tensor
  }
}

/// Converts the tensors of a checkpoint. Tensors that share a storage also share one after the
/// conversion.
package struct TensorConverter {
  private struct Key: Hashable {
    let storage: ObjectIdentifier
    let type: DType
  }

  private let target: DType
  private let losses: ConversionTally?
  // The old storage is retained, so that its object identifier is not reused.
  private var known: [Key: (old: Storage, new: Storage)] = [:]
  /// The new storages of views that are converted separately.
  private var alone: [TensorView: Storage] = [:]

  /// Creates a converter to the dtype `target`; `losses` counts the numbers that cannot be
  /// represented.
  package init(to target: DType, countingInto losses: ConversionTally? = nil) {
    self.target = target
    self.losses = losses
  }

  /// Converts a tensor to the same view of its converted storage. The elements of a conjugate or
  /// negative view are converted separately.
  ///
  /// - Throws: `TensorError.noData` for a meta tensor, `TensorError.noConversion`.
  package mutating func convert(_ tensor: Tensor) throws(TensorError) -> Tensor {
    guard tensor.dtype != target else { return tensor }
    let width = tensor.dtype.byteCount
    guard !tensor.isMeta, !tensor.isConjugate || !tensor.dtype.isComplex, !tensor.isNegative,
      tensor.storage.byteCount % width == 0
    else { return try convertAlone(tensor) }
    let key = Key(storage: ObjectIdentifier(tensor.storage), type: tensor.dtype)
    let storage: Storage
    if let found = known[key] {
      storage = found.new
    } else {
      let bytes = try ConvertedBytes(
        tensor.storage.source, ElementConversion(from: tensor.dtype, to: target), losses)
      storage = Storage(.computed(bytes), name: tensor.storage.name)
      known[key] = (tensor.storage, storage)
    }
    var result = try Tensor(
      storage: storage, dtype: target, shape: tensor.shape, strides: tensor.strides,
      offset: tensor.offset)
    result.requiresGrad = tensor.requiresGrad && target.isFloat
    result.isParameter = tensor.isParameter
    return result
  }

  /// Converts only a view's own elements; equal views share one new storage.
  private mutating func convertAlone(_ tensor: Tensor) throws(TensorError) -> Tensor {
    let fresh = try tensor.converting(to: target, countingInto: losses)
    guard let storage = alone[tensor.view] else {
      alone[tensor.view] = fresh.storage
      return fresh
    }
    var result = try Tensor(storage: storage, dtype: target, shape: tensor.shape)
    result.requiresGrad = fresh.requiresGrad
    result.isParameter = fresh.isParameter
    return result
  }
}

/// Counts the numbers that a conversion cannot represent; safe to use from several threads.
public final class ConversionTally: Sendable {
  private let sum = Mutex(ElementConversion.Losses())

  /// Creates a tally with counts of 0.
  public init() {}

  /// The numbers counted so far.
  package var losses: ElementConversion.Losses { sum.withLock { $0 } }

  func add(_ losses: ElementConversion.Losses) {
    if losses != ElementConversion.Losses() { sum.withLock { $0 += losses } }
  }
}

/// Bytes of elements that are converted block by block.
struct ConvertedBytes: ComputedBytes {
  fileprivate let source: ByteSource
  fileprivate let conversion: ElementConversion
  fileprivate let tally: ConversionTally?
  fileprivate let isConjugate: Bool
  fileprivate let isNegative: Bool
  let byteCount: Int

  init(
    _ source: ByteSource, _ conversion: ElementConversion, _ tally: ConversionTally?,
    isConjugate: Bool = false, isNegative: Bool = false
  ) throws(TensorError) {
    self.source = source
    self.conversion = conversion
    self.tally = tally
    self.isConjugate = isConjugate
    self.isNegative = isNegative
    let count = source.byteCount / conversion.source.byteCount
    guard let bytes = conversion.target.byteCount(ofElements: count) else { throw .tooLarge }
    byteCount = bytes
  }

  var isRandomAccess: Bool { source.isRandomAccess }
  var needsPreparation: Bool { source.needsPreparation }
  func prepare() throws { try source.prepare() }

  func makeWholeReader() throws -> any ByteReader {
    // Bytes after the last element are not read.
    guard source.byteCount % conversion.source.byteCount == 0 else {
      return try makeReader(at: 0)
    }
    return ConvertingReader(self, try source.makeWholeReader(), rest: byteCount, skip: 0)
  }

  func makeReader(at offset: Int) throws -> any ByteReader {
    let first = offset / conversion.target.byteCount
    return ConvertingReader(
      self, try source.makeReader(at: first * conversion.source.byteCount),
      rest: byteCount - first * conversion.target.byteCount,
      skip: offset % conversion.target.byteCount)
  }
}

private final class ConvertingReader: StagedReader {
  private let layout: ConvertedBytes
  private let source: any ByteReader
  /// The number of output bytes that have not been computed.
  private var rest: Int
  private var before, after: AlignedBytes
  /// The part of `after` that has not been returned.
  var pending: Range<Int>

  private static let blockCount = 4096

  init(_ layout: ConvertedBytes, _ source: any ByteReader, rest: Int, skip: Int) {
    self.layout = layout
    self.source = source
    self.rest = rest
    before = AlignedBytes(count: Self.blockCount * layout.conversion.source.byteCount)
    after = AlignedBytes(count: Self.blockCount * layout.conversion.target.byteCount)
    pending = 0..<0
    self.skip = skip
  }

  /// The number of bytes of the first element that are skipped.
  private var skip: Int

  func makeBlock(wanted: Int) throws {
    let (from, to) = (layout.conversion.source.byteCount, layout.conversion.target.byteCount)
    let count = min(Self.blockCount, rest / to)
    guard count > 0 else {
      throw TensorError.outsideStorage(
        storage: "", needed: layout.byteCount + 1, available: layout.byteCount)
    }
    try before.withMutableBytes(first: count * from) { block in
      try source.read(into: &block)
      resolveView(
        of: layout.conversion.source, isConjugate: layout.isConjugate,
        isNegative: layout.isNegative, in: &block)
      after.withMutableBytes(first: count * to) { target in
        if let tally = layout.tally {
          tally.add(layout.conversion.convertCountingLosses(from: block.bytes, to: &target))
        } else {
          layout.conversion.convert(from: block.bytes, to: &target)
        }
      }
    }
    rest -= count * to
    pending = skip..<count * to
    skip = 0
  }

  func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan) {
    after.copyBytes(in: part, to: &target)
  }
}

/// Resolves a negative or conjugate view by negating numbers in place.
private func resolveView(
  of type: DType, isConjugate: Bool, isNegative: Bool,
  in bytes: inout MutableRawSpan
) {
  guard isNegative || (isConjugate && type.isComplex) else { return }
  let width = type.componentByteCount
  bytes.withUnsafeMutableBytes { bytes in
    guard type.isFloat else {
      // Negates an integer in two's complement, from the lowest byte up.
      for start in stride(from: 0, to: bytes.count, by: width) {
        var carry = true
        for index in start..<start + width {
          let (sum, overflow) = (~bytes[index]).addingReportingOverflow(carry ? 1 : 0)
          bytes[index] = sum
          carry = overflow
        }
      }
      return
    }
    // For a conjugate view, every second component, the imaginary part, is negated.
    let isOdd = { (component: Int) in type.isComplex && component % 2 == 1 }
    for component in 0..<bytes.count / width {
      if isNegative != (isConjugate && isOdd(component)) {
        bytes[(component + 1) * width - 1] ^= 0x80
      }
    }
  }
}
