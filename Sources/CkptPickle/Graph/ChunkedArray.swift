/// An array in blocks of 4096: a copy that is edited shares all blocks but those that were touched, and
/// growing copies nothing.
package struct ChunkedArray<Element: Sendable>: RandomAccessCollection, Sendable {
  private var chunks: [ContiguousArray<Element>] = []
  /// How many elements there are.
  package private(set) var count = 0

  private static var shift: Int { 12 }
  private static var mask: Int { 1 << shift - 1 }

  init() {}

  /// The first index.
  package var startIndex: Int { 0 }
  /// One more than the last index.
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

/// Values of which those that came first never change: a copy that grows shares them.
struct SealedRuns<Element: Sendable>: Sendable {
  private var first: [Element]
  private var added: [Element] = []

  init(_ first: [Element] = []) { self.first = first }

  var count: Int { first.count + added.count }

  /// The run in a range that was given out by `append`, or lies in the first values.
  subscript(range: Range<Int>) -> ArraySlice<Element> {
    range.lowerBound < first.count
      ? first[range]
      : added[range.lowerBound - first.count..<range.upperBound - first.count]
  }

  subscript(index: Int) -> Element {
    index < first.count ? first[index] : added[index - first.count]
  }

  /// Appends a run and gives its place.
  mutating func append(_ run: some Sequence<Element>) -> Range<Int> {
    let start = count
    added.append(contentsOf: run)
    return start..<count
  }

  /// From now on all values are first ones.
  mutating func seal() {
    guard first.isEmpty else { return }
    first = added
    added = []
  }
}
