/// Uninitialized memory for elements, aligned to 64 bytes (a cache line).
///
/// The memory is freed when the buffer is destroyed. It may be used by one thread at a time. Swift
/// code accesses the elements through spans, whose bounds are checked; ``elements`` is for C kernels.
package struct AlignedBuffer<Element: BitwiseCopyable>: ~Copyable, @unchecked Sendable {
  /// The elements; valid while the buffer exists.
  package let elements: UnsafeMutableBufferPointer<Element>

  /// Allocates memory for `count` elements.
  package init(count: Int) {
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    precondition(count >= 0 && !overflow)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    elements = bytes.bindMemory(to: Element.self)
  }

  deinit { bytes.deallocate() }

  /// The number of elements.
  package var count: Int { elements.count }

  private var bytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(elements) }

  /// Calls `body` with a mutable span of the elements in `range`.
  ///
  /// - Throws: what `body` throws.
  package mutating func withMutableSpan<Result, Failure: Error>(
    in range: Range<Int>, _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var span = UnsafeMutableBufferPointer(rebasing: elements[range]).mutableSpan
    return try body(&span)
  }

  /// Calls `body` with a mutable span of the first `count` elements.
  ///
  /// - Throws: what `body` throws.
  package mutating func withMutableSpan<Result, Failure: Error>(
    first count: Int, _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withMutableSpan(in: 0..<count, body)
  }

  /// Calls `body` with a mutable span of the first `byteCount` bytes.
  ///
  /// - Throws: what `body` throws.
  package mutating func withMutableBytes<Result, Failure: Error>(
    first byteCount: Int, _ body: (inout MutableRawSpan) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    var span = UnsafeMutableRawBufferPointer(rebasing: bytes[..<byteCount]).mutableBytes
    return try body(&span)
  }

  /// Calls `body` with a span of the first `count` elements.
  ///
  /// - Throws: what `body` throws.
  package func withSpan<Result, Failure: Error>(
    first count: Int, _ body: (Span<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(rebasing: elements[..<count]).span)
  }

  /// Copies the bytes in `range` to the start of `target`.
  package func copyBytes(in range: Range<Int>, to target: inout MutableRawSpan) {
    target.copy(UnsafeRawBufferPointer(rebasing: bytes[range]).bytes)
  }
}

/// Uninitialized bytes, aligned to 64 bytes.
package typealias AlignedBytes = AlignedBuffer<UInt8>
