internal import CkptPlatform
internal import CkptBytes
internal import CkptTensors

/// Numbers that the elements of a weight are multiplied with or divided by; found when they are
/// needed.
typealias FoldFactors = PreparedOnce<[Double]>

/// The bytes of a weight that is computed from its parts while it is written, rounded as PyTorch
/// rounds on a CPU.
final class FoldedBytes: ComputedBytes {
  /// The operation on each element.
  enum Rule: Sendable {
    /// Multiplied with the mask's element.
    case mask(Tensor)
    /// Multiplied with the factor of its index in a dimension: of `count` indices, each `inner`
    /// elements long.
    case scaled(by: FoldFactors, count: Int, inner: Int)
    /// Divided by the one factor.
    case divided(by: FoldFactors)
  }

  private let base: Tensor
  private let rule: Rule
  let byteCount: Int
  let isRandomAccess: Bool

  /// `base`, with the rule done to each element.
  init(_ base: Tensor, _ rule: Rule) throws {
    self.base = base
    self.rule = rule
    byteCount = base.byteCount
    var operands = [base]
    if case .mask(let mask) = rule { operands.append(mask) }
    isRandomAccess = try operands.allSatisfy { try $0.contiguousSource().isRandomAccess }
  }

  private var factors: FoldFactors? {
    switch rule {
    case .mask: nil
    case .scaled(let factors, _, _), .divided(let factors): factors
    }
  }

  var needsPreparation: Bool { factors != nil }
  func prepare() throws { _ = try factors?.value() }

  func makeReader(at offset: Int) throws -> any ByteReader { try Reader(self, at: offset) }

  private func didDeliver(_ count: Int) { factors?.didDeliver(count, of: byteCount) }

  private final class Reader: StagedReader {
    private static let blockCount = 4096

    private let bytes: FoldedBytes
    private let baseReader: ElementReader
    private let maskReader: ElementReader?
    private let factors: [Double]
    private let conversion: ElementConversion
    private var block, mask: AlignedBuffer<Double>
    private var after: AlignedBytes
    var pending = 0..<0
    private var next, skip: Int
    private var delivered = 0

    init(_ bytes: FoldedBytes, at offset: Int) throws {
      self.bytes = bytes
      let width = bytes.base.dtype.byteCount
      next = offset / width
      skip = offset % width
      baseReader = try bytes.base.makeElementReader(from: next)
      maskReader =
        if case .mask(let mask) = bytes.rule { try mask.makeElementReader(from: next) } else { nil }
      factors = try bytes.factors?.value() ?? []
      conversion = try ElementConversion(from: .float64, to: bytes.base.dtype)
      block = AlignedBuffer(count: Self.blockCount)
      mask = AlignedBuffer(count: maskReader == nil ? 0 : Self.blockCount)
      after = AlignedBytes(count: Self.blockCount * width)
    }

    deinit { bytes.didDeliver(delivered) }

    func didHandOut(_ byteCount: Int) { delivered += byteCount }

    func makeBlock(wanted: Int) throws {
      let width = bytes.base.dtype.byteCount
      let count = min(Self.blockCount, bytes.byteCount / width - next)
      guard count > 0 else {
        throw TensorError.outsideStorage(
          storage: "", needed: bytes.byteCount + 1, available: bytes.byteCount)
      }
      try block.withMutableSpan(first: count) { part in
        try baseReader.read(into: &part)
        try fold(&part)
        after.withMutableBytes(first: count * width) {
          conversion.convert(from: part.span.bytes, to: &$0)
        }
      }
      next += count
      pending = skip..<count * width
      skip = 0
    }

    /// Applies the rule to the next elements.
    private func fold(_ part: inout MutableSpan<Double>) throws {
      switch bytes.rule {
      case .mask:
        try mask.withMutableSpan(first: part.count) { ones in
          try maskReader?.read(into: &ones)
          for index in part.indices { part[index] *= ones[index] }
        }
      case .divided:
        if let divisor = factors.first { for index in part.indices { part[index] /= divisor } }
      case .scaled(_, let size, let inner):
        var (row, left) = (next / inner % size, inner - next % inner)
        for index in part.indices {
          part[index] *= factors[row]
          left -= 1
          if left == 0 { (row, left) = (row + 1 == size ? 0 : row + 1, inner) }
        }
      }
    }

    func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan) {
      after.copyBytes(in: part, to: &target)
    }
  }
}
