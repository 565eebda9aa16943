public import CkptPatterns
internal import CkptText
public import CkptTensors

/// Selects entries of a state dict by key, dtype, size and shape.
public struct KeySelection: Sendable {
  /// A key must match one of these; none means all keys.
  public var include: [KeyPattern]
  /// A key must match none of these.
  public var exclude: [KeyPattern]
  /// The tensor's elements must be of one of these types; none means any.
  public var dtypes: [DType] = []
  /// The tensor must have at least so many elements.
  public var minElements: Int?
  /// The tensor must have at most so many elements.
  public var maxElements: Int?
  /// The tensor must have this shape; nil in it stands for any size.
  public var shape: [Int?]?

  /// Selects keys that match one of `include` (all, if it is empty) and none of `exclude`.
  public init(include: [KeyPattern] = [], exclude: [KeyPattern] = []) {
    self.include = include
    self.exclude = exclude
  }

  /// Whether every entry is selected.
  public var isEverything: Bool { include.isEmpty && exclude.isEmpty && !looksAtTensors }

  private var looksAtTensors: Bool {
    !dtypes.isEmpty || minElements != nil || maxElements != nil || shape != nil
  }

  /// Whether an entry is selected.
  package func matches(_ key: String, _ value: StateDict.Value) -> Bool {
    (include.isEmpty || include.contains { $0.matches(key) })
      && !exclude.contains { $0.matches(key) }
      && matches(value)
  }

  /// Whether a value is selected, whatever its key.
  package func matches(_ value: StateDict.Value) -> Bool {
    !looksAtTensors || value.tensor.map(matches) == true
  }

  /// The number of entries that are selected, and the patterns that no key matches, in one pass.
  package func count(in stateDict: StateDict) -> (kept: Int, missed: KeySelection) {
    var (included, excluded) = (PatternHits(include), PatternHits(exclude))
    var kept = 0
    for (key, value) in stateDict {
      let isIncluded = included.matchesAny(key) || include.isEmpty
      let isExcluded = excluded.matchesAny(key)
      if isIncluded, !isExcluded, matches(value) { kept += 1 }
    }
    return (kept, KeySelection(include: included.missed, exclude: excluded.missed))
  }

  private func matches(_ tensor: Tensor) -> Bool {
    if !dtypes.isEmpty, !dtypes.contains(tensor.dtype) { return false }
    if let minElements, tensor.elementCount < minElements { return false }
    if let maxElements, tensor.elementCount > maxElements { return false }
    guard let shape else { return true }
    return shape.count == tensor.shape.count
      && zip(shape, tensor.shape).allSatisfy { $0 == nil || $0 == $1 }
  }

  /// The patterns of `include` that no key matches, each with the keys that come nearest to it.
  public func unmatched(in keys: [String]) -> [(pattern: KeyPattern, nearest: [String])] {
    include.compactMap { pattern in
      pattern.matchesAny(of: keys)
        ? nil : (pattern, NearestKeys.nearest(to: pattern.text, in: keys))
    }
  }
}
