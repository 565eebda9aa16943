/// The owner of memory for elements that are not initialized, aligned to 64 bytes, a cache line.
///
/// The memory is given back when the owner is destroyed. One thread at a time uses it.
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

  /// Calls `body` with the elements, while which the owner lives: for one that is a local variable.
  package func withElements<Result, Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(elements)
  }
}

/// The owner of bytes that are not initialized, aligned to 64 bytes.
package typealias AlignedBytes = AlignedBuffer<UInt8>
