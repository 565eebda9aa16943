extension String.UTF8View {
  /// The range of the first occurrence of `bytes` at or after the index `start`; nil if there is
  /// none, or `bytes` is empty.
  package func firstRange(of bytes: [UInt8], from start: Int) -> Range<Int>? {
    guard let first = bytes.first else { return nil }
    let own = Array(self)
    var index = start
    while index + bytes.count <= own.count {
      if own[index] == first, own[index..<index + bytes.count].elementsEqual(bytes) {
        return index..<index + bytes.count
      }
      index += 1
    }
    return nil
  }
}
