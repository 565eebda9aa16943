internal import CkptPlatform
internal import CkptBytes

/// The elements of a strided tensor in row-major order, gathered box by box.
///
/// A box is a sequence of consecutive elements in row-major order that has the tensor's full size
/// in its inner dimensions, and a bounded number of bytes. Its elements are read in the order of
/// the storage, neighbors together, and stored at their positions in the box. The storage is thus
/// never completely in memory, and a transposed matrix is not read element by element.
struct GatheredBytes: ComputedBytes {
  let source: ByteSource
  let width: Int
  /// The offset of the first element in the storage, in elements.
  let base: Int
  /// The sizes of the dimensions from the outermost to the innermost. Dimensions of size 1 are
  /// omitted, and neighboring dimensions are merged if they are contiguous in the storage.
  let shape: [Int]
  let strides: [Int]
  let byteCount: Int
  /// The dimension along which the tensor is split to boxes; boxes have the full size in all later
  /// dimensions.
  let splitDimension: Int
  /// The number of elements for one index of `splitDimension`.
  let innerCount: Int
  /// The number of indices of `splitDimension` in a box.
  let boxLength: Int

  /// The maximum number of bytes of a box.
  private static let boxSize = 8 << 20

  /// Creates a source for the elements of `tensor`, which must be whole bytes.
  init(_ tensor: Tensor, boxSize: Int = Self.boxSize) {
    var shape: [Int] = []
    var strides: [Int] = []
    for (size, stride) in zip(tensor.shape, tensor.strides) where size != 1 {
      let (whole, overflow) = stride.multipliedReportingOverflow(by: size)
      if let last = strides.last, last == whole, !overflow, let outer = shape.popLast() {
        shape.append(outer * size)
        strides[strides.count - 1] = stride
      } else {
        shape.append(size)
        strides.append(stride)
      }
    }
    source = tensor.storage.source
    width = tensor.dtype.byteCount
    base = tensor.offset
    byteCount = tensor.byteCount
    self.shape = shape
    self.strides = strides
    let limit = max(1, boxSize / width)
    var split = max(0, shape.count - 1)
    var inner = 1
    while split > 0, inner * shape[split] <= limit {
      inner *= shape[split]
      split -= 1
    }
    splitDimension = split
    innerCount = inner
    boxLength = shape.isEmpty ? 1 : max(1, min(shape[split], limit / inner))
  }

  var isRandomAccess: Bool { true }
  var needsPreparation: Bool { source.needsPreparation }
  func prepare() throws { try source.prepare() }

  func makeReader(at offset: Int) throws -> any ByteReader { GatheringReader(self, at: offset) }
}

/// Reads the elements, one box after the other.
private final class GatheringReader: ByteReader {
  private let layout: GatheredBytes
  private var position: Int
  private var box: AlignedBytes
  /// The byte range that the box currently contains.
  private var held = 0..<0
  private var room: AlignedBytes
  /// A sequential reader for sources without random access, with its position.
  private var forward: (reader: any ByteReader, position: Int)?

  /// The maximum number of bytes between elements that are read and discarded rather than skipped.
  private static let gap = 4096

  init(_ layout: GatheredBytes, at offset: Int) {
    self.layout = layout
    position = offset
    room = AlignedBytes(count: min(256 << 10, max(layout.width, layout.source.byteCount)))
    box = AlignedBytes(
      count: min(layout.byteCount, layout.boxLength * layout.innerCount * layout.width))
  }

  func read(into bytes: inout MutableRawSpan) throws {
    var done = 0
    while done < bytes.byteCount {
      guard position < layout.byteCount else {
        throw TensorError.outsideStorage(
          storage: "", needed: position + 1, available: layout.byteCount)
      }
      if !held.contains(position) { try fillBox(around: position) }
      let count = min(held.upperBound - position, bytes.byteCount - done)
      let start = position - held.lowerBound
      var part = bytes._mutatingExtracting(done..<done + count)
      box.copyBytes(in: start..<start + count, to: &part)
      position += count
      done += count
    }
  }

  /// A dimension of a box.
  private struct Dimension {
    /// The number of indices.
    let size: Int
    /// The distance of neighbors in the storage, in elements.
    let stride: Int
    /// The distance of neighbors in the box, in elements.
    let step: Int
  }

  /// An iterator over the elements of a box, with their positions in elements.
  private struct Place {
    private let dimensions: [Dimension]
    private var index: [Int]
    /// The position in the storage.
    private(set) var source: Int
    /// The position in the box.
    private(set) var target: Int

    /// Creates an iterator at the first element, with its positions in the storage and the box.
    init(_ dimensions: some Sequence<Dimension>, source: Int, target: Int) {
      self.dimensions = Array(dimensions)
      index = [Int](repeating: 0, count: self.dimensions.count)
      (self.source, self.target) = (source, target)
    }

    /// Moves to the next element, in which the first dimension's index changes fastest; returns
    /// false after the last.
    mutating func advance() -> Bool {
      for (number, dimension) in dimensions.enumerated() {
        index[number] += 1
        source += dimension.stride
        target += dimension.step
        if index[number] < dimension.size { return true }
        source -= dimension.stride * dimension.size
        target -= dimension.step * dimension.size
        index[number] = 0
      }
      return false
    }
  }

  private func fillBox(around position: Int) throws {
    let (shape, strides, split) = (layout.shape, layout.strides, layout.splitDimension)
    let element = position / layout.width
    let rowCount = layout.innerCount * (shape.isEmpty ? 1 : shape[split])
    // Adds the offsets of the outer indices, and of the first index of the split dimension.
    var start = layout.base
    var rest = element / rowCount
    for dimension in (0..<split).reversed() {
      start += rest % shape[dimension] * strides[dimension]
      rest /= shape[dimension]
    }
    let row = element / rowCount * rowCount
    let first = (element - row) / layout.innerCount / layout.boxLength * layout.boxLength
    let length = shape.isEmpty ? 1 : min(layout.boxLength, shape[split] - first)
    if !shape.isEmpty { start += first * strides[split] }
    var dimensions: [Dimension] = []
    var step = 1
    for dimension in (split..<shape.count).reversed() {
      let size = dimension == split ? length : shape[dimension]
      if size > 1 {
        dimensions.append(Dimension(size: size, stride: strides[dimension], step: step))
      }
      step *= size
    }
    let from = (row + first * layout.innerCount) * layout.width
    held = from..<from + step * layout.width
    dimensions.sort { $0.stride < $1.stride }
    try box.withMutableBytes(first: held.count) { box in
      try room.withMutableBytes(first: room.count) {
        try gather(from: start, dimensions, to: &box, by: &$0)
      }
    }
  }

  /// Reads the box's elements in the order of the storage, in pieces of up to the size of `room`;
  /// `dimensions` are sorted by increasing stride.
  private func gather(
    from start: Int, _ dimensions: [Dimension], to box: inout MutableRawSpan,
    by room: inout MutableRawSpan
  ) throws {
    // Dimensions of stride 0 repeat elements that have been read; they are handled last.
    let repeated = dimensions.filter { $0.stride == 0 }
    let real = dimensions.filter { $0.stride > 0 }
    // The number of dimensions that are dense enough to be read together.
    var dense = 0
    var reach = 1
    while dense < real.count, (real[dense].stride - reach) * layout.width <= Self.gap {
      reach = (real[dense].size - 1) * real[dense].stride + reach
      dense += 1
    }
    let inner = Array(real[..<dense])
    let outer = Array(real[dense...])
    var place = Place(outer, source: start, target: 0)
    repeat {
      try gatherRun(place.source, reach, place.target, inner, to: &box, by: &room)
    } while place.advance()
    for dimension in repeated {
      StridedCopy.repeatFirst(
        of: dimension.size, size: dimension.step * layout.width, in: &box)
    }
  }

  /// Reads `reach` elements starting at `start`, piece by piece, and stores those of `dimensions`
  /// in the box.
  private func gatherRun(
    _ start: Int, _ reach: Int, _ target: Int, _ dimensions: [Dimension],
    to box: inout MutableRawSpan, by room: inout MutableRawSpan
  ) throws {
    let width = layout.width
    let perPiece = room.byteCount / width
    var piece = 0..<0
    let innermost = dimensions.first ?? Dimension(size: 1, stride: 1, step: 1)
    var place = Place(dimensions.dropFirst(), source: 0, target: target)
    repeat {
      // Copies the innermost dimension, as many elements at a time as the piece contains.
      var done = 0
      while done < innermost.size {
        let at = place.source + done * innermost.stride
        if at >= piece.upperBound || at < piece.lowerBound {
          piece = at..<min(at + perPiece, reach)
          var bytes = room._mutatingExtracting(..<(piece.count * width))
          try fetch((start + at) * width, &bytes)
        }
        let count = min(
          innermost.size - done, (piece.upperBound - 1 - at) / innermost.stride + 1)
        StridedCopy.copy(
          count, width: width, from: room.bytes, at: at - piece.lowerBound,
          stride: innermost.stride, to: &box, at: place.target + done * innermost.step,
          step: innermost.step)
        done += count
      }
    } while place.advance()
  }

  private func fetch(_ offset: Int, _ bytes: inout MutableRawSpan) throws {
    guard !layout.source.isRandomAccess else {
      return try layout.source.read(into: &bytes, at: offset)
    }
    let (reader, position) =
      if let forward, forward.position <= offset { forward } else {
        (try layout.source.makeReader(at: 0), 0)
      }
    try reader.skip(offset - position)
    try reader.read(into: &bytes)
    forward = (reader, offset + bytes.byteCount)
  }
}
