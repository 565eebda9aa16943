extension String.UTF8View {
  /// Where `bytes` occur first, counted from the front, at or behind `start`; nil for no bytes.
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
