package import CkptBytes
internal import CkptPlatform

/// A part of a larger tensor: a box in its index space, and its elements.
package struct TensorChunk: Sendable {
  /// Where the box begins in each dimension, in elements.
  package let offsets: [Int]
  /// How far it reaches in each dimension, in elements.
  package let sizes: [Int]
  /// Its elements in row-major order; random access.
  package let source: ByteSource

  /// The box of `sizes` at `offsets`.
  package init(offsets: [Int], sizes: [Int], source: ByteSource) {
    self.offsets = offsets
    self.sizes = sizes
    self.source = source
  }
}

/// The elements of a tensor that is put together from boxes, in row-major order, made on demand.
///
/// A run of elements that lie together in the whole and in one box is moved at once: with boxes that are cut
/// along the first dimension only, that is a whole box.
package struct ChunkedBytes: ComputedBytes {
  private let shape: [Int]
  private let width: Int
  private let chunks: [TensorChunk]
  /// For each chunk, the last dimension that it does not fill, or 0; all behind it are whole.
  private let cutDimensions: [Int]
  /// How many bytes there are.
  package let byteCount: Int

  /// A tensor of `shape` whose elements have `width` bytes each.
  ///
  /// - Throws: `TensorError.badGeometry` unless the chunks fill the shape, each element once, and each
  ///   has as many bytes as its box needs.
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

  /// Any place can be read.
  package var isRandomAccess: Bool { true }

  /// Whether a chunk needs it.
  package var needsPreparation: Bool { chunks.contains(where: \.source.needsPreparation) }

  /// Prepares every chunk.
  package func prepare() throws {
    for chunk in chunks { try chunk.source.prepare() }
  }

  /// Starts to read at `offset`, which may lie inside an element.
  package func makeReader(at offset: Int) throws -> any ByteReader { Reader(self, offset) }

  /// A run of bytes that lie together in the whole and in a chunk.
  private struct Run {
    let chunk: Int
    let start: Int
    let count: Int
  }

  /// The run at a place of the whole; `hint` is the chunk that is probably meant.
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
    // From here to the end of the box in the last dimension that it does not fill.
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
          // In a row of boxes the next run lies in the next one.
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
