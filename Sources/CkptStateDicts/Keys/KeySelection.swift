public import CkptTensors

/// Which entries of a state dict are meant: by key, and by what the tensor is.
public struct KeySelection: Sendable {
  /// A key must match one of these; none means all keys.
  public var include: [KeyPattern]
  /// A key must match none of these.
  public var exclude: [KeyPattern]
  /// The tensor's elements must be of one of these types; none means any.
  public var elementTypes: [ElementType] = []
  /// The tensor must have at least so many elements.
  public var minElements: Int?
  /// The tensor must have at most so many elements.
  public var maxElements: Int?
  /// The tensor must have this shape; nil in it stands for any size.
  public var shape: [Int?]?

  /// Keys that match one of `include` (all, if it is empty) and none of `exclude`.
  public init(include: [KeyPattern] = [], exclude: [KeyPattern] = []) {
    self.include = include
    self.exclude = exclude
  }

  /// Whether everything is meant.
  public var isEverything: Bool { include.isEmpty && exclude.isEmpty && !looksAtTensors }

  private var looksAtTensors: Bool {
    !elementTypes.isEmpty || minElements != nil || maxElements != nil || shape != nil
  }

  /// What tells whether an entry is meant; made once for many entries.
  package func matcher() throws -> (String, StateDict.Value) -> Bool {
    let included = try include.map { try $0.matcher() }
    let excluded = try exclude.map { try $0.matcher() }
    return { key, value in
      (included.isEmpty || included.contains { $0(key) }) && !excluded.contains { $0(key) }
        && (!looksAtTensors || value.tensor.map(matches) == true)
    }
  }

  private func matches(_ tensor: Tensor) -> Bool {
    if !elementTypes.isEmpty, !elementTypes.contains(tensor.elementType) { return false }
    if let minElements, tensor.elementCount < minElements { return false }
    if let maxElements, tensor.elementCount > maxElements { return false }
    guard let shape else { return true }
    return shape.count == tensor.shape.count
      && zip(shape, tensor.shape).allSatisfy { $0 == nil || $0 == $1 }
  }

  /// The patterns of `include` that no key matches, each with the keys that come nearest to it.
  public func unmatched(in keys: [String]) throws -> [(pattern: KeyPattern, nearest: [String])] {
    try include.compactMap { pattern in
      let matches = try pattern.matcher()
      return keys.contains(where: matches)
        ? nil : (pattern, NearestKeys.nearest(to: pattern.text, in: keys))
    }
  }
}

/// Finds what somebody may have meant.
public enum NearestKeys {
  /// Up to three keys, parts of which are spelt nearly like `text`.
  public static func nearest(to text: String, in keys: [String]) -> [String] {
    let trimmed = text.utf8.drop { $0 == UInt8(ascii: ".") }.reversed()
      .drop { $0 == UInt8(ascii: ".") }.reversed()
    let wanted = Array(String(decoding: trimmed, as: UTF8.self).lowercased().utf8.prefix(200))
    guard !wanted.isEmpty else { return [] }
    let parts = wanted.count { $0 == UInt8(ascii: ".") } + 1
    let most = max(2, wanted.count / 3)
    var distances: [ArraySlice<UInt8>: Int] = [:]
    var best: [(distance: Int, key: String)] = []
    for key in keys {
      let own = Array(key.lowercased().utf8.prefix(400))
      let dots = [-1] + own.indices.filter { own[$0] == UInt8(ascii: ".") } + [own.count]
      var nearest = Int.max
      for last in dots.indices where last >= min(parts, dots.count - 1) {
        let window = own[(dots[max(last - parts, 0)] + 1)..<dots[last]]
        guard abs(window.count - wanted.count) <= most else { continue }
        let distance = distances[window] ?? editDistance(Array(window), wanted)
        distances[window] = distance
        nearest = min(nearest, distance)
      }
      guard nearest <= most else { continue }
      if best.count == 3, let worst = best.last, worst.distance <= nearest { continue }
      let place = best.firstIndex { $0.distance > nearest } ?? best.count
      best.insert((nearest, key), at: place)
      if best.count > 3 { best.removeLast() }
    }
    return best.map(\.key)
  }

  /// How many bytes must be put in, taken out or changed (Levenshtein); takes time for long texts.
  package static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (i, byte) in left.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, other) in right.enumerated() {
        let above = row[j + 1]
        row[j + 1] = min(diagonal + (byte == other ? 0 : 1), above + 1, row[j] + 1)
        diagonal = above
      }
    }
    return row[right.count]
  }
}
