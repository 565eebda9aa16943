internal import CkptText
internal import CkptBytes
package import CkptPlatform
public import CkptStateDicts
public import CkptTensors

/// How two state dicts differ: keys, shapes, dtypes, values.
///
/// Tensors are compared by key. Of those whose key is on one side only, the ones with the same dtype, shape and
/// values (by SHA-256) are renamed.
public struct StateDictDifference: Sendable {
  /// A tensor that is on both sides with one shape.
  public struct Entry: Sendable {
    /// Its key.
    public let key: String
    /// The tensor of the first side.
    public let a: Tensor
    /// The tensor of the second side.
    public let b: Tensor
    /// How its numbers differ; nil where they could not be compared: one is on the meta device, or its elements
    /// are no numbers and their bits differ.
    public let difference: TensorDifference?

    /// Whether the dtypes differ.
    public var changesType: Bool { a.dtype != b.dtype }
  }

  /// A tensor whose key changed and nothing else.
  public struct Renamed: Sendable, Hashable {
    /// Its key on the first side.
    public let old: String
    /// Its key on the second side.
    public let new: String
  }

  /// What is compared, and when numbers count as equal.
  public struct Options: Sendable {
    /// When numbers count as equal.
    public var tolerance = Tolerance.exact
    /// Whether another dtype with equal numbers counts as equal.
    public var ignoresType = false
    /// Whether the changes are counted by size.
    public var withHistograms = false
    /// How many threads work; nil for as many as are useful.
    public var workers: Int?

    /// Exact comparison.
    public init() {}
  }

  /// The tensors that are on both sides with one shape, in the first one's order.
  public private(set) var entries: [Entry] = []
  /// Tensors that only the first side has, in its order.
  public private(set) var onlyInA: [String] = []
  /// Tensors that only the second side has, in its order.
  public private(set) var onlyInB: [String] = []
  /// Tensors whose keys differ and nothing else.
  public private(set) var renamed: [Renamed] = []
  /// Keys whose tensors have different shapes, or stand for a tensor on one side only.
  public private(set) var mismatched: [ShapeMismatch] = []
  /// Keys on both sides that stand for something else than a plain tensor, and not for the same: their classes,
  /// attributes or the tensors' shapes in them differ. Where only numbers of tensors in them differ, ``entries``
  /// has these, by the key, a `/` and the path inside.
  public private(set) var changedObjects: [String] = []
  /// Keys on both sides that stand for something too large to be compared: nobody can say that it is equal.
  public private(set) var notCompared: [String] = []
  private let options: Options

  /// Reads every tensor once, on several threads; the result does not depend on their number.
  ///
  /// - Parameter progress: told how many bytes of the first side were compared since last time, from any thread.
  /// - Throws: what reading throws; `CancelledError`.
  package init(
    from a: StateDict, to b: StateDict, options: Options = Options(),
    cancellation: Cancellation = Cancellation(), progress: (@Sendable (Int) -> Void)? = nil
  ) throws {
    self.options = options
    var pairs: [(key: String, a: Tensor, b: Tensor)] = []
    for (key, value) in a.elements {
      guard let other = b.value(for: key) else {
        onlyInA.append(key)
        continue
      }
      switch (value.tensor, other.tensor) {
      case (nil, nil): try addObjects(key, value, other, to: &pairs)
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

  /// Compares what is no plain tensor on either side; the tensors in it are compared with all others.
  private mutating func addObjects(
    _ key: String, _ a: StateDict.Value, _ b: StateDict.Value,
    to pairs: inout [(key: String, a: Tensor, b: Tensor)]
  ) throws {
    guard case .object(let left) = a, case .object(let right) = b else { return }
    guard let old = left.content, let new = right.content else {
      notCompared.append(key)
      return
    }
    guard old.description.isExactly(new.description) else {
      changedObjects.append(key)
      return
    }
    // Equal descriptions tell of equally many tensors of equal shapes.
    for (a, b) in zip(old.tensors, new.tensors) {
      pairs.append((a.name == "/" ? key : "\(key)/\(a.name)", a.tensor, b.tensor))
    }
  }

  /// The entries whose numbers differ by more than the tolerance, or whose dtypes do, those first that changed
  /// most: what is NaN or infinite on one side only, then by ``TensorDifference/relativeChange``.
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

  /// Whether nothing differs, by the options given.
  public var isEqual: Bool {
    onlyInA.isEmpty && onlyInB.isEmpty && renamed.isEmpty && mismatched.isEmpty
      && changedObjects.isEmpty && notCompared.isEmpty
      && !entries.contains(where: isChanged)
  }

  private func isChanged(_ entry: Entry) -> Bool {
    if entry.changesType, !options.ignoresType { return true }
    return entry.difference?.isWithinTolerance != true
  }

  // MARK: - Comparing

  private mutating func compare(
    _ pairs: [(key: String, a: Tensor, b: Tensor)], _ work: BlockWork,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws {
    let comparable = pairs.indices.filter {
      NumberReader.canRead(pairs[$0].a) && NumberReader.canRead(pairs[$0].b)
    }
    let tensors = comparable.map { (pairs[$0].a, pairs[$0].b) }
    let items = try tensors.map { a, b in
      var item = try BlockWork.Item(a)
      item.isRandomAccess = try item.isRandomAccess && BlockWork.Item(b).isRandomAccess
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
        progress?(range.count * tensors[item].0.dtype.byteCount)
        return found
      }
    }
    var found: [Int: TensorDifference] = [:]
    for (index, result) in zip(comparable, results) { found[index] = result }
    // Elements that are no numbers are the same or not.
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

  /// Pairs what is on one side only by its content; only what has a counterpart of its dtype and shape is read.
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
        // Without elements all are the same.
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

/// Goes through two tensors side by side.
private final class TensorComparer {
  private let a: NumberReader
  private let b: NumberReader
  /// Both once more, bit by bit, if they are integers of 64 bits.
  private let integers: (a: any ByteReader, b: any ByteReader)?
  private let isSigned: Bool
  /// Whether one side's numbers are complex: then it is their distance in the plane that counts.
  private let isComplex: Bool
  private let tolerance: Tolerance
  /// Room for a block of either side, and of both as integers.
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

  /// Compares, of 64-bit integers, those that 64-bit floats do not tell apart.
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
