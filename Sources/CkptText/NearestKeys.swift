/// Finds keys with similar spelling, for suggestions in errors.
package enum NearestKeys {
  /// Up to three keys that contain a part spelled similarly to `text`.
  package static func nearest(to text: String, in keys: [String]) -> [String] {
    let trimmed = text.utf8.drop { $0 == UInt8(ascii: ".") }.reversed()
      .drop { $0 == UInt8(ascii: ".") }.reversed()
    let wanted = Array(String(decoding: trimmed, as: UTF8.self).lowercased().utf8.prefix(200))
    guard !wanted.isEmpty else { return [] }
    let parts = wanted.count { $0 == UInt8(ascii: ".") } + 1
    let most = max(2, wanted.count / 3)
    var distances: [ArraySlice<UInt8>: Int] = [:]
    var best: [(distance: Int, key: String)] = []
    for key in keys {
      let own = Array(key.lowercased().utf8.prefix(400))
      let dots = [-1] + own.indices.filter { own[$0] == UInt8(ascii: ".") } + [own.count]
      var nearest = Int.max
      for last in dots.indices where last >= min(parts, dots.count - 1) {
        let window = own[(dots[max(last - parts, 0)] + 1)..<dots[last]]
        guard abs(window.count - wanted.count) <= most else { continue }
        let distance = distances[window] ?? editDistance(Array(window), wanted)
        distances[window] = distance
        nearest = min(nearest, distance)
      }
      guard nearest <= most else { continue }
      if best.count == 3, let worst = best.last, worst.distance <= nearest { continue }
      let position = best.firstIndex { $0.distance > nearest } ?? best.count
      best.insert((nearest, key), at: position)
      if best.count > 3 { best.removeLast() }
    }
    return best.map(\.key)
  }

  /// The Levenshtein distance in bytes. The time is proportional to the product of the lengths.
  package static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    var row = Array(0...right.count)
    for (i, byte) in left.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, other) in right.enumerated() {
        let above = row[j + 1]
        row[j + 1] = min(diagonal + (byte == other ? 0 : 1), above + 1, row[j] + 1)
        diagonal = above
      }
    }
    return row[right.count]
  }
}
