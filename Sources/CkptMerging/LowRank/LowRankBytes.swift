internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

/// The bytes of a weight plus low-rank products, computed while they are read.
///
/// Each element is the base's plus the products' in order, in float64, rounded once; the result
/// does not depend on the blocks or the number of threads. Memory does not grow with the weight: a
/// block has as many rows as fit, and the right matrices are read a few rows at a time, again for
/// each block.
final class LowRankBytes: ComputedBytes {
  /// The weight, treated as a matrix of shape [`rows`, `columns`].
  private let base: Tensor
  private let products: [LowRankProduct]
  /// What is subtracted from the base's weight because of the adapter's initialization; nil for
  /// nothing.
  private let change: PreparedOnce<LowRankProduct>?
  private let rows, columns: Int
  private let context: MergeContext
  private let tally: MergeTally
  let byteCount: Int
  let isRandomAccess: Bool

  /// The maximum number of elements in a block, and in the rows of a right matrix held at once.
  private static let blockCount = 1 << 18
  private static let chunkCount = 1 << 15

  /// Creates the bytes of `base` plus `products` minus `change`, all of shape [`rows`, `columns`].
  /// Losses are added to `tally`.
  ///
  /// - Throws: what opening the tensors throws.
  init(
    base: Tensor, rows: Int, products: [LowRankProduct], change: BaseChange?,
    context: MergeContext, tally: MergeTally
  ) throws {
    self.base = base
    self.tally = tally
    self.products = products
    self.change = change.map { change in
      PreparedOnce { try change.product(context.cancellation) }
    }
    self.context = context
    self.rows = rows
    columns = base.elementCount / rows
    byteCount = base.byteCount
    isRandomAccess = try ([base] + products.flatMap { [$0.left, $0.right] }).allSatisfy {
      try $0.contiguousSource().isRandomAccess
    }
  }

  var needsPreparation: Bool { change != nil }

  func prepare() throws { _ = try allProducts() }

  /// The products, including the one subtracted from the base, which is computed once.
  private func allProducts() throws -> [LowRankProduct] {
    guard let change else { return products }
    return [try change.value()] + products
  }

  fileprivate func didDeliver(_ count: Int) { change?.didDeliver(count, of: byteCount) }

  func makeReader(at offset: Int) throws -> any ByteReader {
    try Reader(self, allProducts(), at: offset)
  }

  private final class Reader: StagedReader {
    private let bytes: LowRankBytes
    private let products: [LowRankProduct]
    private let baseReader: ElementReader
    private let leftReaders: [ElementReader]
    private let conversion: ElementConversion
    /// The shape of a block; if a row is longer than a block, a block is a part of one row.
    private let blockRows, blockColumns: Int
    private var sum, left, right: AlignedBuffer<Double>
    private var after: AlignedBytes
    /// The index of the first element that is not computed yet.
    private var next: Int
    var pending = 0..<0
    private var skip: Int
    private var delivered = 0

    init(_ bytes: LowRankBytes, _ products: [LowRankProduct], at offset: Int) throws {
      self.bytes = bytes
      self.products = products
      let width = bytes.base.dtype.byteCount
      let columns = bytes.columns
      let rank = products.map(\.rank).max() ?? 1
      blockColumns = min(columns, LowRankBytes.blockCount)
      let most = max(blockColumns, rank)
      blockRows = blockColumns < columns ? 1 : max(1, min(64, LowRankBytes.blockCount / most))
      // Blocks begin at the start of a row, or of a part of one.
      let element = offset / width
      let (row, column) = (element / columns, element % columns)
      next = row * columns + column / blockColumns * blockColumns
      skip = offset - next * width
      baseReader = try bytes.base.makeElementReader(from: next)
      leftReaders = try products.map { try $0.left.makeElementReader(from: row * $0.rank) }
      conversion = try ElementConversion(from: .float64, to: bytes.base.dtype)
      sum = AlignedBuffer(count: blockRows * blockColumns)
      left = AlignedBuffer(count: blockRows * (products.map(\.rank).reduce(0, +)))
      right = AlignedBuffer(count: max(blockColumns, LowRankBytes.chunkCount))
      after = AlignedBytes(count: blockRows * blockColumns * width)
    }

    deinit { bytes.didDeliver(delivered) }

    func didHandOut(_ byteCount: Int) { delivered += byteCount }

    func copyBlock(_ part: Range<Int>, to target: inout MutableRawSpan) {
      after.copyBytes(in: part, to: &target)
    }

    /// Fills `values` with the next elements; throws if they contain NaN and NaN is not kept.
    private func read(_ reader: ElementReader, into values: inout MutableSpan<Double>) throws {
      try reader.read(into: &values)
      guard !bytes.context.keepsNaN, VectorKernels.countNaN(values.span) > 0 else { return }
      throw try bytes.context.errorAboutNaN()
    }

    /// Computes the next rows, or the next part of a long row.
    func makeBlock(wanted: Int) throws {
      let width = bytes.base.dtype.byteCount
      let (row, column) = (next / bytes.columns, next % bytes.columns)
      guard row < bytes.rows else {
        throw TensorError.outsideStorage(
          storage: "", needed: bytes.byteCount + 1, available: bytes.byteCount)
      }
      try bytes.context.cancellation.check()
      let rows = min(blockRows, bytes.rows - row)
      let columns = min(blockColumns, bytes.columns - column)
      let count = rows * columns
      try sum.withMutableSpan(first: count) { block in
        try read(baseReader, into: &block)
        let special = MergeTally.Special(block.span)
        var start = 0
        for (product, reader) in zip(products, leftReaders) {
          let range = start..<start + rows * product.rank
          start += blockRows * product.rank
          try left.withMutableSpan(in: range) { factors in
            // All parts of a long row have the same factors.
            if column == 0 || needsFactors { try read(reader, into: &factors) }
            try add(
              product, factors.span, rows: rows, columns: columns, from: column, to: &block)
          }
        }
        let found = MergeTally.Special(block.span)
        if !bytes.context.keepsNaN, found.notNumbers > 0 {
          throw MergeError.madeNaN(key: bytes.tally.key)
        }
        bytes.tally.add(found, since: special)
        bytes.tally.add(
          after.withMutableBytes(first: count * width) {
            conversion.convertCountingLosses(from: block.span.bytes, to: &$0)
          })
      }
      needsFactors = false
      next += count
      pending = skip..<count * width
      skip = 0
    }

    /// Whether the factors must be read because none were read yet.
    private var needsFactors = true

    /// Adds a product's part to a block, reading a few rows of the right matrix at a time.
    private func add(
      _ product: LowRankProduct, _ factors: Span<Double>, rows: Int, columns: Int,
      from column: Int, to block: inout MutableSpan<Double>
    ) throws {
      let rank = product.rank
      let chunk = max(1, right.count / columns)
      let isWhole = columns == bytes.columns
      var reader = try product.right.makeElementReader(from: column)
      for first in stride(from: 0, to: rank, by: chunk) {
        let count = min(chunk, rank - first)
        try right.withMutableSpan(first: count * columns) { values in
          if isWhole {
            try read(reader, into: &values)
          } else {
            for index in 0..<count {
              reader = try product.right.makeElementReader(
                from: (first + index) * bytes.columns + column)
              var part = values._mutatingExtracting(index * columns..<(index + 1) * columns)
              try read(reader, into: &part)
            }
          }
          for row in 0..<rows {
            var sums = block._mutatingExtracting(row * columns..<(row + 1) * columns)
            for index in 0..<count {
              VectorKernels.add(
                values.span.extracting(index * columns..<(index + 1) * columns),
                times: factors[row * rank + first + index] * product.scale, to: &sums)
            }
          }
        }
      }
    }
  }
}
