/// The owner of memory for elements that are not initialized, aligned to 64 bytes, a cache line.
///
/// The memory is given back when the owner is destroyed. One thread at a time uses it. Swift code reads and writes the
/// elements by way of spans, whose bounds are checked; ``elements`` and ``bytes`` are for C kernels.
package struct AlignedBuffer<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
  /// The elements; valid as long as the owner is.
  package let elements: UnsafeMutableBufferPointer<Element>

  /// Memory for `count` elements.
  package init(count: Int) {
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    precondition(count >= 0 && !overflow)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    elements = bytes.bindMemory(to: Element.self)
  }

  deinit { bytes.deallocate() }

  /// How many elements there are.
  package var count: Int { elements.count }

  /// The elements' bytes; valid as long as the owner is.
  package var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(elements) }

  /// Calls `body` with the elements in `range`, which it may change.
  ///
  /// - Throws: what `body` throws.
  package mutating func withMutableSpan<Result, Failure: Error>(
    in range: Range<Int>, _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var span = UnsafeMutableBufferPointer(rebasing: elements[range]).mutableSpan
    return try body(&span)
  }

  /// Calls `body` with the first `count` elements, which it may change.
  ///
  /// - Throws: what `body` throws.
  package mutating func withMutableSpan<Result, Failure: Error>(
    first count: Int, _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withMutableSpan(in: 0..<count, body)
  }

  /// Calls `body` with the first `byteCount` bytes, which it may change.
  ///
  /// - Throws: what `body` throws.
  package mutating func withMutableBytes<Result, Failure: Error>(
    first byteCount: Int, _ body: (inout MutableRawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var span = UnsafeMutableRawBufferPointer(rebasing: bytes[..<byteCount]).mutableBytes
    return try body(&span)
  }

  /// Calls `body` with the first `count` elements.
  ///
  /// - Throws: what `body` throws.
  package func withSpan<Result, Failure: Error>(
    first count: Int, _ body: (Span<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(rebasing: elements[..<count]).span)
  }

  /// Copies the bytes in `range` to the front of `target`.
  package func copyBytes(in range: Range<Int>, to target: inout MutableRawSpan) {
    target.copy(UnsafeRawBufferPointer(rebasing: bytes[range]).bytes)
  }
}

/// The owner of bytes that are not initialized, aligned to 64 bytes.
package typealias AlignedBytes = AlignedBuffer<UInt8>
