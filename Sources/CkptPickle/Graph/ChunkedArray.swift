/// An array stored in blocks of 4096 elements. A copy shares all blocks that are not modified, and
/// appending does not move elements.
package struct ChunkedArray<Element: Sendable>: RandomAccessCollection, Sendable {
  private var chunks: [ContiguousArray<Element>] = []
  /// The number of elements.
  package private(set) var count = 0

  private static var shift: Int { 12 }
  private static var mask: Int { 1 << shift - 1 }

  init() {}

  /// The first index.
  package var startIndex: Int { 0 }
  /// The index after the last element.
  package var endIndex: Int { count }

  /// The element at `index`, which must be less than `count`.
  package internal(set) subscript(index: Int) -> Element {
    get { chunks[index >> Self.shift][index & Self.mask] }
    _modify { yield &chunks[index >> Self.shift][index & Self.mask] }
  }

  mutating func append(_ element: Element) {
    if count & Self.mask == 0 {
      var chunk = ContiguousArray<Element>()
      chunk.reserveCapacity(Swift.min(Self.mask + 1, Swift.max(16, count)))
      chunks.append(chunk)
    }
    chunks[chunks.count - 1].append(element)
    count += 1
  }
}

/// An append-only array in two parts, a sealed one and an appended one. Copies share the sealed
/// part, even when values are appended to them.
struct SealedRuns<Element: Sendable>: Sendable {
  private var first: [Element]
  private var added: [Element] = []

  init(_ first: [Element] = []) { self.first = first }

  var count: Int { first.count + added.count }

  /// The values in a range that `append` returned, or that lies in the sealed part.
  subscript(range: Range<Int>) -> ArraySlice<Element> {
    range.lowerBound < first.count
      ? first[range]
      : added[range.lowerBound - first.count..<range.upperBound - first.count]
  }

  subscript(index: Int) -> Element {
    index < first.count ? first[index] : added[index - first.count]
  }

  /// Appends values and returns their range.
  mutating func append(_ run: some Sequence<Element>) -> Range<Int> {
    let start = count
    added.append(contentsOf: run)
    return start..<count
  }

  /// Makes the values appended so far the sealed part, if that is empty.
  mutating func seal() {
    guard first.isEmpty else { return }
    first = added
    added = []
  }
}
