package import CkptBytes
internal import CkptPlatform

/// A part of a larger tensor: a box of indices, and the elements in it.
package struct TensorChunk: Sendable {
  /// The first index in each dimension.
  package let offsets: [Int]
  /// The number of indices in each dimension.
  package let sizes: [Int]
  /// The elements in row-major order; a source with random access.
  package let source: ByteSource

  /// Creates the chunk for the box of `sizes` that begins at `offsets`.
  package init(offsets: [Int], sizes: [Int], source: ByteSource) {
    self.offsets = offsets
    self.sizes = sizes
    self.source = source
  }
}

/// The elements of a tensor that is assembled from boxes, in row-major order, read on demand.
///
/// Consecutive elements that are in one box are copied together. If the boxes are split along the
/// first dimension only, these are whole boxes.
package struct ChunkedBytes: ComputedBytes {
  private let shape: [Int]
  private let width: Int
  private let chunks: [TensorChunk]
  /// For each chunk, the last dimension in which it is smaller than the tensor, or 0; in all later
  /// dimensions it has the tensor's size.
  private let cutDimensions: [Int]
  /// The number of bytes.
  package let byteCount: Int

  /// Creates a source for a tensor of `shape` whose elements have `width` bytes each.
  ///
  /// - Throws: `TensorError.badGeometry` unless the chunks contain each element once, and the size
  ///   of each chunk's source is right; `TensorError.tooLarge`.
  package init(shape: [Int], width: Int, chunks: [TensorChunk]) throws(TensorError) {
    guard let total = Self.volume(shape, width) else { throw .tooLarge }
    var (volume, kept, cuts) = (0, [TensorChunk](), [Int]())
    for chunk in chunks {
      guard chunk.offsets.count == shape.count, chunk.sizes.count == shape.count else {
        throw .badGeometry("a chunk has \(chunk.sizes.count) dimensions, not \(shape.count)")
      }
      for dimension in shape.indices {
        let (offset, size) = (chunk.offsets[dimension], chunk.sizes[dimension])
        guard offset >= 0, size >= 0, offset <= shape[dimension], size <= shape[dimension] - offset
        else { throw .badGeometry("a chunk at \(chunk.offsets) leaves the tensor") }
      }
      guard let own = Self.volume(chunk.sizes, width), own == chunk.source.byteCount else {
        throw .badGeometry(
          "a chunk of shape \(chunk.sizes) has \(chunk.source.byteCount) bytes of elements")
      }
      guard own > 0 else { continue }
      let (sum, overflow) = volume.addingReportingOverflow(own)
      guard !overflow, sum <= total else { throw .badGeometry("its chunks overlap") }
      volume = sum
      kept.append(chunk)
      cuts.append(shape.indices.last { chunk.sizes[$0] != shape[$0] } ?? 0)
    }
    guard volume == total else {
      throw .badGeometry("its chunks hold \(volume / width) of \(total / width) elements")
    }
    let order = kept.indices.sorted {
      kept[$0].offsets.lexicographicallyPrecedes(kept[$1].offsets)
    }
    self.shape = shape
    self.width = width
    self.chunks = order.map { kept[$0] }
    cutDimensions = order.map { cuts[$0] }
    byteCount = total
    guard try Self.fill(shape, self.chunks) else { throw .badGeometry("its chunks overlap") }
  }

  private static func volume(_ sizes: [Int], _ width: Int) -> Int? {
    if sizes.contains(0) { return 0 }
    var volume = width
    for size in sizes {
      let (next, overflow) = volume.multipliedReportingOverflow(by: size)
      if overflow || size < 0 { return nil }
      volume = next
    }
    return volume
  }

  /// Always true.
  package var isRandomAccess: Bool { true }

  /// Whether a chunk needs preparation.
  package var needsPreparation: Bool { chunks.contains(where: \.source.needsPreparation) }

  /// Prepares every chunk.
  ///
  /// - Throws: what preparing a chunk throws.
  package func prepare() throws {
    for chunk in chunks { try chunk.source.prepare() }
  }

  /// Creates a reader that starts at `offset`, which may be inside an element.
  package func makeReader(at offset: Int) throws -> any ByteReader { Reader(self, offset) }

  /// Bytes that are consecutive in both the tensor and a chunk.
  private struct Run {
    let chunk: Int
    let start: Int
    let count: Int
  }

  /// The run at an offset in the tensor; `hint` is the chunk that probably contains it.
  private func run(at offset: Int, hint: Int) -> Run? {
    var (rest, coordinates) = (offset / width, [Int](repeating: 0, count: shape.count))
    for dimension in shape.indices.reversed() {
      coordinates[dimension] = rest % shape[dimension]
      rest /= shape[dimension]
    }
    guard let index = find(coordinates, hint: hint) else { return nil }
    let chunk = chunks[index]
    var position = 0
    for dimension in shape.indices {
      position =
        position * chunk.sizes[dimension] + coordinates[dimension] - chunk.offsets[dimension]
    }
    // The bytes up to the end of the box in the last dimension in which it is smaller than the
    // tensor.
    var left = 1
    if !shape.isEmpty {
      let cut = cutDimensions[index]
      left = chunk.offsets[cut] + chunk.sizes[cut] - coordinates[cut]
      for dimension in (cut + 1)..<max(cut + 1, shape.count) {
        left = left * shape[dimension] - coordinates[dimension]
      }
    }
    let inside = offset % width
    return Run(chunk: index, start: position * width + inside, count: left * width - inside)
  }

  private func find(_ coordinates: [Int], hint: Int) -> Int? {
    for step in chunks.indices {
      let index = (hint + step) % chunks.count
      let chunk = chunks[index]
      let isInside = coordinates.indices.allSatisfy {
        coordinates[$0] >= chunk.offsets[$0]
          && coordinates[$0] < chunk.offsets[$0] + chunk.sizes[$0]
      }
      if isInside { return index }
    }
    return nil
  }

  private final class Reader: ByteReader {
    private let whole: ChunkedBytes
    private var position: Int
    private var reader: (any ByteReader)?
    private var left = 0
    private var last = 0

    init(_ whole: ChunkedBytes, _ position: Int) {
      self.whole = whole
      self.position = position
    }

    func read(into bytes: inout MutableRawSpan) throws {
      var done = 0
      while done < bytes.byteCount {
        if left == 0 {
          guard let run = whole.run(at: position, hint: last) else {
            throw TensorError.badGeometry("no chunk holds the element at byte \(position)")
          }
          reader = try whole.chunks[run.chunk].source.makeReader(at: run.start)
          left = run.count
          // In a row of boxes, the next run is in the next box.
          last = run.chunk + 1
        }
        let count = min(left, bytes.byteCount - done)
        var part = bytes._mutatingExtracting(done..<done + count)
        try reader?.read(into: &part)
        done += count
        position += count
        left -= count
      }
    }
  }
}
