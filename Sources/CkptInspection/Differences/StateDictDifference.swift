internal import CkptText
internal import CkptBytes
package import CkptPlatform
public import CkptStateDicts
public import CkptTensors

/// The differences between two state dicts: keys, shapes, dtypes, and values.
///
/// Tensors are compared by key. Tensors whose key is on one side only are reported as renamed if
/// dtype, shape, and values (by SHA-256) are equal.
public struct StateDictDifference: Sendable {
  /// A tensor that both sides have, with the same shape.
  public struct Entry: Sendable {
    /// The tensor's key.
    public let key: String
    /// The tensor of the first side.
    public let a: Tensor
    /// The tensor of the second side.
    public let b: Tensor
    /// The difference of the elements; nil if they cannot be compared: one is on the meta device,
    /// or the elements are not numbers and their bits differ.
    public let difference: TensorDifference?

    /// Whether the dtypes differ.
    public var changesType: Bool { a.dtype != b.dtype }
  }

  /// A tensor that has different keys on both sides and is otherwise equal.
  public struct Renamed: Sendable, Hashable {
    /// The key on the first side.
    public let old: String
    /// The key on the second side.
    public let new: String
  }

  /// Options of a comparison.
  public struct Options: Sendable {
    /// When numbers are treated as equal.
    public var tolerance = Tolerance.exact
    /// Whether tensors with equal numbers but different dtypes are treated as equal.
    public var ignoresType = false
    /// Whether histograms of the changes are computed.
    public var withHistograms = false
    /// The number of threads; nil chooses it.
    public var workers: Int?

    /// Creates options for an exact comparison.
    public init() {}
  }

  /// The tensors that both sides have with the same shape, in the first side's order.
  public private(set) var entries: [Entry] = []
  /// The keys that only the first side has, in its order.
  public private(set) var onlyInA: [String] = []
  /// The keys that only the second side has, in its order.
  public private(set) var onlyInB: [String] = []
  /// Tensors that have different keys and are otherwise equal.
  public private(set) var renamed: [Renamed] = []
  /// Keys whose tensors have different shapes, or whose value is a tensor on one side only.
  public private(set) var mismatched: [ShapeMismatch] = []
  /// Keys whose values are objects on both sides that differ in their classes, attributes, or the
  /// shapes of the tensors inside. If only the numbers of inner tensors differ, these are in
  /// ``entries``, with the key, a `/`, and the path inside.
  public private(set) var changedObjects: [String] = []
  /// Keys whose values are objects that are too large to compare, so that they may differ.
  public private(set) var notCompared: [String] = []
  private let options: Options

  /// Compares two state dicts, reading every tensor once, on several threads; the result does not
  /// depend on their number.
  ///
  /// - Parameter progress: called from any thread with the number of bytes of the first side
  ///   compared since the last call.
  /// - Throws: what reading throws; `CancelledError`.
  package init(
    from a: StateDict, to b: StateDict, options: Options = Options(),
    cancellation: Cancellation = Cancellation(), progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    self.options = options
    var pairs: [(key: String, a: Tensor, b: Tensor)] = []
    var contents = ObjectContents()
    for (key, value) in a.elements {
      guard let other = b.value(for: key) else {
        onlyInA.append(key)
        continue
      }
      switch (value.tensor, other.tensor) {
      case (nil, nil): try addObjects(key, value, other, &contents, to: &pairs)
      case (let left?, let right?) where left.shape == right.shape:
        pairs.append((key, left, right))
      case (let left, let right):
        mismatched.append(ShapeMismatch(key: key, expected: left?.shape, found: right?.shape))
      }
    }
    onlyInB = b.elements.compactMap { a.value(for: $0.key) == nil ? $0.key : nil }
    var work = BlockWork()
    work.cancellation = cancellation
    if let workers = options.workers { work.workers = workers }
    try compare(pairs, work, progress)
    try findRenamed(a, b, work, progress)
  }

  /// Compares objects; the tensors inside them are added to `pairs`.
  private mutating func addObjects(
    _ key: String, _ a: StateDict.Value, _ b: StateDict.Value, _ contents: inout ObjectContents,
    to pairs: inout [(key: String, a: Tensor, b: Tensor)]
  ) throws {
    guard case .object(let left) = a, case .object(let right) = b else { return }
    guard let old = try contents.content(of: left), let new = try contents.content(of: right)
    else {
      notCompared.append(key)
      return
    }
    guard old.description.isExactly(new.description) else {
      changedObjects.append(key)
      return
    }
    // Equal descriptions imply the same number of tensors and the same shapes.
    for (a, b) in zip(old.tensors, new.tensors) {
      pairs.append((a.name == "/" ? key : "\(key)/\(a.name)", a.tensor, b.tensor))
    }
  }

  /// The entries whose numbers differ by more than the tolerance, or whose dtypes differ, most
  /// changed first: those with NaN or infinity on one side only, then by
  /// ``TensorDifference/relativeChange``.
  public var changed: [Entry] {
    func rank(_ entry: Entry) -> Double {
      guard let difference = entry.difference else { return .infinity }
      if difference.nanMismatchCount > 0 || difference.maxAbsolute.isInfinite { return .infinity }
      return difference.relativeChange.isNaN ? .infinity : difference.relativeChange
    }
    return entries.filter(isChanged).enumerated()
      .sorted { left, right in
        let (a, b) = (rank(left.element), rank(right.element))
        return a == b ? left.offset < right.offset : a > b
      }
      .map(\.element)
  }

  /// Whether nothing differs, according to the options.
  public var isEqual: Bool {
    onlyInA.isEmpty && onlyInB.isEmpty && renamed.isEmpty && mismatched.isEmpty
      && changedObjects.isEmpty && notCompared.isEmpty
      && !entries.contains(where: isChanged)
  }

  /// Whether an entry differs, according to the options.
  private func isChanged(_ entry: Entry) -> Bool {
    if entry.changesType, !options.ignoresType { return true }
    return entry.difference?.isWithinTolerance != true
  }

  // MARK: - Comparing

  /// Compares the tensors of `pairs` and fills `entries`.
  private mutating func compare(
    _ pairs: [(key: String, a: Tensor, b: Tensor)], _ work: BlockWork,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    let comparable = pairs.indices.filter {
      NumberReader.canRead(pairs[$0].a) && NumberReader.canRead(pairs[$0].b)
    }
    // Each pair of elements is compared once, however often both tensors repeat it.
    let once = comparable.map { index in
      let (a, b) = (pairs[index].a, pairs[index].b)
      let both = a.repeatedDimensions.filter(Set(b.repeatedDimensions).contains)
      let (left, times) = a.withoutRepeats(along: both)
      return (a: left, b: b.withoutRepeats(along: both).tensor, times: times)
    }
    let tensors = once.map { ($0.a, $0.b) }
    try RepeatedElements.check(tensors.map { $0.0 })
    try RepeatedElements.check(tensors.map { $0.1 })
    let items = try tensors.map { a, b in
      var item = try BlockWork.Item(a)
      let other = try BlockWork.Item(b)
      item.isRandomAccess = item.isRandomAccess && other.isRandomAccess
      item.grain = max(item.grain, other.grain)
      return item
    }
    let (tolerance, withHistogram) = (options.tolerance, options.withHistograms)
    let results = try work.run(
      items, empty: TensorDifference(withHistogram: withHistogram), join: { $0.add($1) },
      finish: \.finished
    ) { item, ranges -> [TensorDifference] in
      let comparer = try TensorComparer(
        tensors[item].0, tensors[item].1, from: ranges.first?.lowerBound ?? 0, tolerance)
      return try ranges.map { range in
        let found = try comparer.compare(range.count, withHistogram: withHistogram)
        progress?(range.count * tensors[item].0.dtype.byteCount * once[item].times)
        return found
      }
    }
    var found: [Int: TensorDifference] = [:]
    for (position, index) in comparable.enumerated() {
      found[index] = results[position].repeated(once[position].times)
    }
    // Elements that are not numbers are compared by digest.
    let others = pairs.indices.filter {
      found[$0] == nil && !pairs[$0].a.isMeta && !pairs[$0].b.isMeta
    }
    let digests = try TensorDigest.all(
      of: others.flatMap { [pairs[$0].a, pairs[$0].b] }, workers: work.workers,
      cancellation: work.cancellation, progress: nil)
    for (position, index) in others.enumerated()
    where digests[2 * position] == digests[2 * position + 1] {
      found[index] = TensorDifference()
    }
    for index in pairs.indices where pairs[index].a.isMeta && pairs[index].b.isMeta {
      found[index] = TensorDifference()
    }
    entries = pairs.enumerated().map { index, pair in
      Entry(key: pair.key, a: pair.a, b: pair.b, difference: found[index])
    }
  }

  /// Finds renamed tensors among those on one side only, by their digest. Only tensors with a
  /// counterpart of the same dtype and shape are read.
  private mutating func findRenamed(
    _ a: StateDict, _ b: StateDict, _ work: BlockWork, _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    struct Kind: Hashable {
      let type: DType
      let shape: [Int]
    }
    func kinds(_ stateDict: StateDict, _ keys: [String]) -> [(
      key: String, kind: Kind, tensor: Tensor
    )] {
      keys.compactMap { key in
        // Tensors without elements would all be equal.
        guard let tensor = stateDict[key], !tensor.isMeta, tensor.elementCount > 0 else {
          return nil
        }
        return (key, Kind(type: tensor.dtype, shape: tensor.shape), tensor)
      }
    }
    var (left, right) = (kinds(a, onlyInA), kinds(b, onlyInB))
    let both = Set(left.map(\.kind)).intersection(right.map(\.kind))
    left.removeAll { !both.contains($0.kind) }
    right.removeAll { !both.contains($0.kind) }
    let digests = try TensorDigest.all(
      of: (left + right).map(\.tensor), workers: work.workers, cancellation: work.cancellation,
      progress: progress)
    var waiting: [TensorDigest: [String]] = [:]
    for (entry, digest) in zip(right, digests[left.count...]).reversed() {
      waiting[digest, default: []].append(entry.key)
    }
    for (entry, digest) in zip(left, digests) {
      guard let new = waiting[digest]?.popLast() else { continue }
      renamed.append(Renamed(old: entry.key, new: new))
    }
    let old = Set(renamed.map { ExactText($0.old) })
    let new = Set(renamed.map { ExactText($0.new) })
    onlyInA.removeAll { old.contains(ExactText($0)) }
    onlyInB.removeAll { new.contains(ExactText($0)) }
  }
}

/// Reads two tensors in parallel and compares their elements.
private final class TensorComparer {
  private let a: NumberReader
  private let b: NumberReader
  /// Readers of the raw bits of both, if they are 64-bit integers, which float64 cannot represent
  /// exactly.
  private let integers: (a: any ByteReader, b: any ByteReader)?
  private let isSigned: Bool
  /// Whether either side is complex; then the distance in the complex plane is compared.
  private let isComplex: Bool
  private let tolerance: Tolerance
  /// Memory for a block of each side, and for both as integers.
  private var left, right: AlignedBuffer<Double>
  private var wide: AlignedBuffer<UInt64>

  init(_ a: Tensor, _ b: Tensor, from start: Int, _ tolerance: Tolerance) throws {
    self.a = try NumberReader(a, from: start)
    self.b = try NumberReader(b, from: start)
    self.tolerance = tolerance
    isSigned = a.dtype == .int64
    isComplex = a.dtype.isComplex || b.dtype.isComplex
    let isWide = a.dtype == b.dtype && [.int64, .uint64].contains(a.dtype)
    integers =
      isWide
      ? (
        try a.resolvedSource().makeReader(at: 8 * start),
        try b.resolvedSource().makeReader(at: 8 * start)
      ) : nil
    let size = NumberReader.blockSize
    left = AlignedBuffer(count: isComplex ? 2 * size : size)
    right = AlignedBuffer(count: isComplex ? 2 * size : size)
    wide = AlignedBuffer(count: isWide ? 2 * size : 0)
  }

  /// Compares the next `count` elements.
  func compare(_ count: Int, withHistogram: Bool) throws -> TensorDifference {
    var found = TensorDifference(withHistogram: withHistogram)
    let size = NumberReader.blockSize
    let parts = isComplex ? 2 : 1
    for start in stride(from: 0, to: count, by: size) {
      let step = min(size, count - start)
      try left.withMutableSpan(first: parts * step) { x in
        try right.withMutableSpan(first: parts * step) { y in
          if isComplex {
            try a.readComplex(into: &x)
            try b.readComplex(into: &y)
            found.addComplex(&x, y.span, tolerance)
          } else {
            try a.read(into: &x)
            try b.read(into: &y)
            try compareIntegers(x.span, y.span, &found)
            found.add(&x, y.span, tolerance)
          }
        }
      }
    }
    return found
  }

  /// Compares 64-bit integers that differ but are equal as float64.
  private func compareIntegers(
    _ x: Span<Double>, _ y: Span<Double>, _ found: inout TensorDifference
  ) throws {
    guard let integers else { return }
    let count = x.count
    try wide.withMutableSpan(first: 2 * count) { wide in
      var bytes = wide.mutableBytes
      var part = bytes._mutatingExtracting(..<(8 * count))
      try integers.a.read(into: &part)
      part = bytes._mutatingExtracting((8 * count)...)
      try integers.b.read(into: &part)
      for index in 0..<count where x[index] == y[index] && wide[index] != wide[count + index] {
        found.addIntegers(
          UInt64(littleEndian: wide[index]), UInt64(littleEndian: wide[count + index]),
          signed: isSigned, tolerance)
      }
    }
  }
}
