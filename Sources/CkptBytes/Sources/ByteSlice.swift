extension ByteSource {
  /// A part of the source, without reading it.
  ///
  /// A part of a region remains a part of its record, whose checksum is compared before the part is
  /// read.
  package func part(_ range: Range<Int>) -> ByteSource {
    precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
    guard range != 0..<byteCount else { return self }
    switch self {
    case .bytes(let bytes): return .bytes(Array(bytes[range]))
    case .region(var region):
      region.offset += range.lowerBound
      region.byteCount = range.count
      return .region(region)
    case .computed(let computed): return .computed(ByteSlice(computed, range))
    }
  }
}

/// A byte range of a computed source.
private struct ByteSlice: ComputedBytes {
  private let whole: any ComputedBytes
  private let range: Range<Int>

  init(_ whole: any ComputedBytes, _ range: Range<Int>) {
    self.whole = whole
    self.range = range
  }

  var byteCount: Int { range.count }
  var isRandomAccess: Bool { whole.isRandomAccess }
  var needsPreparation: Bool { whole.needsPreparation }
  func prepare() throws { try whole.prepare() }

  func makeReader(at offset: Int) throws -> any ByteReader {
    try ByteSource.computed(whole).makeReader(skippingTo: range.lowerBound + offset)
  }

  func makeWholeReader() throws -> any ByteReader {
    // A checksum is compared at the end, so only a reader that reaches it may skip to the part.
    guard !whole.isRandomAccess, range.upperBound == whole.byteCount else {
      return try makeReader(at: 0)
    }
    let reader = try whole.makeWholeReader()
    try reader.skip(range.lowerBound)
    return reader
  }
}
