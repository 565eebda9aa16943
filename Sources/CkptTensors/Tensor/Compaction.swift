internal import CkptBytes

/// Reduces a storage to the elements that its views use.
///
/// Views that may share an element stay on one storage; views that cannot get one each. Where only
/// one view uses a part, and steps over elements in it, what it steps over goes too.
package struct Compaction: Sendable {
  /// The views on new storages; nil if the storage cannot be reduced.
  package let views: [Tensor]?
  /// The number of bytes of the new storages.
  package let byteCount: Int

  /// Computes the new storages and views; nothing is read.
  ///
  /// - Parameters:
  ///   - views: all tensors that use the storage.
  ///   - storage: the storage.
  /// - Throws: `TensorError`.
  package init(_ views: [Tensor], of storage: Storage) throws(TensorError) {
    var layout = CompactLayout()
    var shapes: [TensorView: Int] = [:]
    var geometries: [TensorView] = []
    var positions: [Int] = []
    for view in views {
      let geometry = view.reach
      let position = shapes[geometry] ?? geometries.count
      if position == geometries.count {
        shapes[geometry] = position
        geometries.append(geometry)
      }
      positions.append(position)
    }
    layout.position(geometries, limit: storage.byteCount)
    guard layout.byteCount < storage.byteCount else {
      self.views = nil
      byteCount = storage.byteCount
      return
    }
    byteCount = layout.byteCount
    var storages: [Storage] = []
    for window in layout.windows {
      storages.append(try window.storage(of: storage, geometries))
    }
    var result: [Tensor] = []
    for (view, position) in zip(views, positions) {
      let slot = layout.slots[position]
      let strides =
        slot.isDense ? geometries[position].denseStrides(like: view.strides) : view.strides
      let per = view.dtype.elementsPerByte
      let start = layout.windows[slot.window].bytes.lowerBound / view.dtype.byteCount * per
      var moved = try Tensor(
        storage: storages[slot.window], dtype: view.dtype, shape: view.shape,
        strides: strides, offset: slot.isDense || view.elementCount == 0 ? 0 : view.offset - start)
      moved.requiresGrad = view.requiresGrad
      moved.isParameter = view.isParameter
      moved.isConjugate = view.isConjugate
      moved.isNegative = view.isNegative
      moved.quantization = view.quantization
      result.append(moved)
    }
    self.views = result
  }
}

/// The elements of a storage that a view uses.
extension TensorView {
  fileprivate var hasNoElements: Bool { shape.contains(0) }

  /// The dimensions with more than one index and a nonzero stride, sorted by decreasing stride.
  private var steps: [(dimension: Int, size: Int, stride: Int)] {
    shape.indices.filter { shape[$0] > 1 && strides[$0] > 0 }
      .map { ($0, shape[$0], strides[$0]) }
      .sorted { ($0.stride, $1.dimension) > ($1.stride, $0.dimension) }
  }

  /// The byte range from the first to the last element.
  fileprivate var span: Range<Int> {
    guard !hasNoElements else { return 0..<0 }
    let last = steps.reduce(offset) { $0 + ($1.size - 1) * $1.stride }
    if dtype.elementsPerByte > 1 {
      // Packed tensors are always contiguous.
      let count = shape.reduce(1, *)
      let first = offset / dtype.elementsPerByte
      return first..<(dtype.byteCount(ofElements: offset + count) ?? first)
    }
    return offset * dtype.byteCount..<(last + 1) * dtype.byteCount
  }

  /// The number of bytes of the elements, without repetitions along dimensions of stride 0.
  fileprivate var denseByteCount: Int {
    if hasNoElements { return 0 }
    if dtype.elementsPerByte > 1 { return span.count }
    return steps.reduce(dtype.byteCount) { $0 * $1.size }
  }

  /// Whether no element occurs twice, except along dimensions of stride 0; false if this cannot be
  /// determined.
  fileprivate var isInjective: Bool {
    var reach = 0
    for (_, size, stride) in steps.reversed() {
      guard stride > reach else { return false }
      reach += (size - 1) * stride
    }
    return true
  }

  /// Strides without gaps, in the same order as the current ones; for a tensor without elements,
  /// contiguous strides; `original` for dimensions without effect.
  fileprivate func denseStrides(like original: [Int]) -> [Int] {
    guard !hasNoElements else { return Tensor.contiguousStrides(for: shape) ?? original }
    var result = original
    var step = 1
    for (dimension, size, _) in steps.reversed() {
      result[dimension] = step
      step *= size
    }
    return result
  }

  /// The elements without gaps, read from `whole`, a storage with the same bytes as the view's own
  /// whose checksum is compared.
  fileprivate func denseSource(in whole: Storage) throws(TensorError) -> ByteSource {
    let steps = steps
    return try Tensor(
      storage: whole, dtype: dtype, shape: steps.map(\.size),
      strides: steps.map(\.stride), offset: offset
    ).contiguousSource()
  }

  /// Whether two views certainly share no element, because they are separate blocks of columns of
  /// one matrix.
  fileprivate func isApart(from other: TensorView) -> Bool {
    guard dtype == other.dtype, dtype.elementsPerByte == 1 else { return false }
    for row in Set(steps.map(\.stride) + other.steps.map(\.stride)) {
      guard let own = columns(inRowsOf: row), let others = other.columns(inRowsOf: row) else {
        continue
      }
      if !own.overlaps(others) { return true }
    }
    return false
  }

  /// The range of columns that the view uses in a matrix with rows of `width` elements; nil if it
  /// is not a block of columns.
  private func columns(inRowsOf width: Int) -> Range<Int>? {
    var reach = 1
    for (_, size, stride) in steps {
      if stride % width == 0 { continue }
      reach += (size - 1) * stride
    }
    let first = offset % width
    return first + reach <= width ? first..<first + reach : nil
  }
}

/// The assignment of views to new storages.
private struct CompactLayout {
  struct Window {
    /// The byte range of the old storage that becomes a new storage, or in which its only view
    /// lies.
    var bytes: Range<Int>
    /// The index of the view whose elements are stored without gaps; nil if the byte range is
    /// copied.
    var dense: Int?
    var byteCount: Int

    func storage(
      of old: Storage, _ geometries: [TensorView]
    ) throws(TensorError) -> Storage {
      if let dense { return Storage(try geometries[dense].denseSource(in: old), name: old.name) }
      return Storage(old.source.part(bytes), name: old.name)
    }
  }

  struct Slot {
    var window = 0
    var isDense = false
  }

  var windows: [Window] = []
  var slots: [Slot] = []
  var byteCount: Int { windows.reduce(0) { $0 + $1.byteCount } }

  /// The maximum number of overlapping views that are compared in pairs.
  private static let compareLimit = 64

  mutating func position(_ geometries: [TensorView], limit: Int) {
    slots = [Slot](repeating: Slot(), count: geometries.count)
    let spans = geometries.map(\.span)
    let order = geometries.indices.filter { !geometries[$0].hasNoElements }
      .sorted { (spans[$0].lowerBound, $0) < (spans[$1].lowerBound, $1) }
    var cluster: [Int] = []
    var end = 0
    for index in order {
      if !cluster.isEmpty, spans[index].lowerBound >= end {
        add(cluster, geometries, spans, limit)
        cluster = []
      }
      cluster.append(index)
      end = cluster.count == 1 ? spans[index].upperBound : max(end, spans[index].upperBound)
    }
    if !cluster.isEmpty { add(cluster, geometries, spans, limit) }
    // Views without elements need no storage.
    let empty = geometries.indices.filter { geometries[$0].hasNoElements }
    guard !empty.isEmpty else { return }
    if windows.isEmpty { windows.append(Window(bytes: 0..<0, dense: nil, byteCount: 0)) }
    for index in empty { slots[index] = Slot() }
  }

  /// Assigns storages to views whose byte ranges overlap.
  private mutating func add(
    _ cluster: [Int], _ geometries: [TensorView], _ spans: [Range<Int>], _ limit: Int
  ) {
    var groups = [cluster]
    if cluster.count > 1, cluster.count <= Self.compareLimit {
      groups = Self.groups(cluster, geometries)
    }
    let whole = Self.window(of: cluster, geometries, spans, limit)
    let parts = groups.map { Self.window(of: $0, geometries, spans, limit) }
    if parts.reduce(0, { $0 + $1.byteCount }) < whole.byteCount {
      for (group, window) in zip(groups, parts) { put(group, window) }
    } else {
      put(cluster, whole)
    }
  }

  private mutating func put(_ group: [Int], _ window: Window) {
    for index in group { slots[index] = Slot(window: windows.count, isDense: window.dense != nil) }
    windows.append(window)
  }

  /// Groups of views that may share elements, directly or through other views.
  private static func groups(_ cluster: [Int], _ geometries: [TensorView]) -> [[Int]] {
    var groups: [[Int]] = []
    for index in cluster {
      let touching = groups.indices.filter { group in
        groups[group].contains { !geometries[$0].isApart(from: geometries[index]) }
      }
      var joined = [index]
      for group in touching.reversed() { joined += groups.remove(at: group) }
      groups.append(joined.sorted())
    }
    return groups
  }

  private static func window(
    of group: [Int], _ geometries: [TensorView], _ spans: [Range<Int>], _ limit: Int
  ) -> Window {
    let start = group.map { spans[$0].lowerBound }.min() ?? 0
    let end = group.map { spans[$0].upperBound }.max() ?? 0
    if group.count == 1, case let view = geometries[group[0]], view.isInjective,
      case let dense = view.denseByteCount, dense < end - start
    {
      return Window(bytes: start..<end, dense: group[0], byteCount: dense)
    }
    // Offsets are in elements, so the start must be a multiple of the widest element.
    let width = group.map { geometries[$0].dtype.byteCount }.max() ?? 1
    let bytes = start / width * width..<min(limit, (end + width - 1) / width * width)
    return Window(bytes: bytes, dense: nil, byteCount: bytes.count)
  }
}
