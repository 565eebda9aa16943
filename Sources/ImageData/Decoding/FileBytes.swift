/// The bytes of a picture's file, read by place; nil beyond its end.
struct FileBytes {
  /// All of them.
  let all: [UInt8]
  /// The file, for errors.
  let file: String

  /// How many there are.
  var count: Int { all.count }

  /// Whether the bytes at a place are these.
  func has(_ bytes: [UInt8], at place: Int = 0) -> Bool {
    place >= 0 && place <= count - bytes.count
      && all[place..<place + bytes.count].elementsEqual(bytes)
  }

  /// Whether the bytes at a place are this text in ASCII.
  func has(_ text: String, at place: Int = 0) -> Bool { has(Array(text.utf8), at: place) }

  /// One byte.
  func byte(_ place: Int) -> Int? { place >= 0 && place < count ? Int(all[place]) : nil }

  /// The unsigned number of `size` bytes, at most seven.
  func number(_ place: Int, size: Int, isBigEndian: Bool) -> Int? {
    guard place >= 0, size <= 7, place <= count - size else { return nil }
    var value = 0
    for i in 0..<size {
      value = value << 8 | Int(all[isBigEndian ? place + i : place + size - 1 - i])
    }
    return value
  }

  /// An unsigned number of 16 bits.
  func big16(_ place: Int) -> Int? { number(place, size: 2, isBigEndian: true) }
  /// An unsigned number of 32 bits.
  func big32(_ place: Int) -> Int? { number(place, size: 4, isBigEndian: true) }
  /// An unsigned number of 16 bits.
  func little16(_ place: Int) -> Int? { number(place, size: 2, isBigEndian: false) }
  /// An unsigned number of 32 bits.
  func little32(_ place: Int) -> Int? { number(place, size: 4, isBigEndian: false) }
}
