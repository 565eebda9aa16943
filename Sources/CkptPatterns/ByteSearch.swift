extension String.UTF8View {
  /// Where `bytes` occur first, counted from the front, at or behind `start`; nil for no bytes.
  package func firstRange(of bytes: [UInt8], from start: Int) -> Range<Int>? {
    guard let first = bytes.first else { return nil }
    let own = Array(self)
    var place = start
    while place + bytes.count <= own.count {
      if own[place] == first, own[place..<place + bytes.count].elementsEqual(bytes) {
        return place..<place + bytes.count
      }
      place += 1
    }
    return nil
  }
}
