internal import CKernels
internal import Platform
internal import TensorStore

/// The bytes of a weight to which a product of two thin matrices is added while it is written.
final class LowRankBytes: ComputedBytes {
  /// The weight, taken for a matrix of `rows` rows.
  private let base: Tensor
  /// Of `rows` by rank.
  private let left: Tensor
  /// Of rank by `columns`.
  private let right: Tensor
  private let scale: Double
  private let rows, columns, rank: Int
  private let context: MergeContext
  let byteCount: Int
  let isRandomAccess: Bool

  /// How many numbers the right matrix may have; it must be in memory while a part is written.
  static let largestRight = 4 << 20

  /// `base` and `scale` times the product of `left` and `right`.
  init(
    base: Tensor, left: Tensor, right: Tensor, scale: Double, context: MergeContext
  ) throws {
    self.base = base
    self.left = left
    self.right = right
    self.scale = scale
    self.context = context
    rows = left.shape[0]
    rank = left.shape[1]
    columns = right.shape[1]
    byteCount = base.byteCount
    isRandomAccess = try [base, left, right].allSatisfy {
      try $0.contiguousSource().isRandomAccess
    }
  }

  func makeReader(at offset: Int) throws -> any ByteReader { try Reader(self, at: offset) }

  private final class Reader: StagedReader {
    private let bytes: LowRankBytes
    private let baseReader, leftReader: ElementReader
    private let conversion: ElementConversion
    private let right: UnsafeMutableBufferPointer<Double>
    private let factors: UnsafeMutableBufferPointer<Double>
    private let sum: UnsafeMutableBufferPointer<Double>
    let staging: UnsafeMutableRawBufferPointer
    private var next: Int
    /// The row whose factors are at hand.
    private var row = -1
    var pending = 0..<0
    private var skip: Int

    init(_ bytes: LowRankBytes, at offset: Int) throws {
      self.bytes = bytes
      let width = bytes.base.elementType.byteCount
      next = offset / width
      skip = offset % width
      baseReader = try bytes.base.makeElementReader(from: next)
      let firstRow = bytes.columns == 0 ? 0 : next / bytes.columns
      leftReader = try bytes.left.makeElementReader(from: firstRow * bytes.rank)
      row = firstRow - 1
      conversion = try ElementConversion(from: .float64, to: bytes.base.elementType)
      right = .allocate(capacity: bytes.rank * bytes.columns)
      factors = .allocate(capacity: bytes.rank)
      sum = .allocate(capacity: defaultBlockCount)
      staging = .allocate(byteCount: defaultBlockCount * width, alignment: 64)
      try bytes.right.makeElementReader().read(into: right)
      try check(right)
    }

    deinit {
      right.deallocate()
      factors.deallocate()
      sum.deallocate()
      staging.deallocate()
    }

    private func check(_ values: UnsafeMutableBufferPointer<Double>) throws {
      guard !bytes.context.keepsNaN, let base = values.baseAddress else { return }
      if ck_count_nan(base, values.count) > 0 { throw try bytes.context.errorAboutNaN() }
    }

    /// The next elements, up to the end of their row.
    func makeBlock() throws {
      let width = bytes.base.elementType.byteCount
      guard next < bytes.rows * bytes.columns, let sum = sum.baseAddress,
        let right = right.baseAddress
      else {
        throw TensorError.outsideStorage(
          storage: "", needed: bytes.byteCount + 1, available: bytes.byteCount)
      }
      let column = next % bytes.columns
      if next / bytes.columns > row {
        try leftReader.read(into: factors)
        try check(factors)
        row += 1
      }
      let count = min(defaultBlockCount, bytes.columns - column)
      let block = UnsafeMutableBufferPointer(start: sum, count: count)
      try baseReader.read(into: block)
      try check(block)
      for (index, factor) in factors.enumerated() {
        ck_add_scaled(
          sum, right + (index * bytes.columns + column), factor * bytes.scale, count)
      }
      conversion.convert(
        from: UnsafeRawBufferPointer(block),
        to: UnsafeMutableRawBufferPointer(rebasing: staging[..<(count * width)]))
      next += count
      pending = skip..<count * width
      skip = 0
    }
  }
}
