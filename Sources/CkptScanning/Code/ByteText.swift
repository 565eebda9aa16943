extension [UInt8] {
  /// Whether the bytes contain those of a text, which is not empty.
  func contain(_ text: String) -> Bool {
    let wanted = Array(text.utf8)
    var position = 0
    while position + wanted.count <= count,
      let first = self[position...].firstIndex(of: wanted[0]), first + wanted.count <= count
    {
      if self[first..<first + wanted.count].elementsEqual(wanted) { return true }
      position = first + 1
    }
    return false
  }
}
