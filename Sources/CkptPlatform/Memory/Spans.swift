// Functions of spans that the standard library lacks on the oldest supported system: `Array.span`
// and `Array.mutableSpan` need macOS 26, and spans cannot be copied to each other.

extension MutableRawSpan {
  /// Overwrites the bytes that start at `offset` with `source`, which must fit.
  package mutating func copy(_ source: RawSpan, at offset: Int = 0) {
    source.withUnsafeBytes { source in
      withUnsafeMutableBytes { target in
        UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + source.count])
          .copyMemory(from: source)
      }
    }
  }

  /// Overwrites the bytes that start at `offset` with `source`, which must fit.
  package mutating func copy(_ source: ArraySlice<UInt8>, at offset: Int = 0) {
    source.withUnsafeBytes { copy($0.bytes, at: offset) }
  }

  /// Sets every byte to `byte`.
  package mutating func fill(with byte: UInt8) {
    withUnsafeMutableBytes { _ = $0.initializeMemory(as: UInt8.self, repeating: byte) }
  }
}

extension RawSpan {
  /// Whether both spans have the same bytes.
  package func hasSameBytes(as other: RawSpan) -> Bool {
    withUnsafeBytes { own in other.withUnsafeBytes { own.elementsEqual($0) } }
  }
}

extension Array where Element: BitwiseCopyable {
  /// Creates an array of `count` elements, all of which `fill` must set.
  ///
  /// - Throws: what `fill` throws.
  package init(count: Int, fill: (inout MutableSpan<Element>) throws -> Void) rethrows {
    try self.init(unsafeUninitializedCapacity: count) { buffer, filled in
      var span = UnsafeMutableBufferPointer(rebasing: buffer[..<count]).mutableSpan
      try fill(&span)
      filled = count
    }
  }

  /// Creates an array of `byteCount` bytes, all of which `fill` must set.
  ///
  /// - Throws: what `fill` throws.
  package init(
    byteCount: Int, fill: (inout MutableRawSpan) throws -> Void
  ) rethrows where Element == UInt8 {
    try self.init(count: byteCount) { elements in
      var bytes = elements.mutableBytes
      try fill(&bytes)
    }
  }

  /// Calls `body` with a mutable span of the elements.
  ///
  /// - Throws: what `body` throws.
  package mutating func withMutableSpan<Result, Failure: Error>(
    _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeMutableBufferPointer { (buffer) throws(Failure) in
      var span = buffer.mutableSpan
      return try body(&span)
    }
  }

  /// Calls `body` with a span of the elements.
  ///
  /// - Throws: what `body` throws.
  package func withSpan<Result, Failure: Error>(
    _ body: (Span<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBufferPointer { (buffer) throws(Failure) in try body(buffer.span) }
  }

  /// Calls `body` with a span of the elements' bytes.
  ///
  /// - Throws: what `body` throws.
  package func withRawSpan<Result, Failure: Error>(
    _ body: (RawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withSpan { (elements) throws(Failure) in try body(elements.bytes) }
  }
}
