/// The bytes of an image file, read by offset; reads beyond the end return nil.
struct FileBytes {
  /// All bytes of the file.
  let all: [UInt8]
  /// The file's name for error messages.
  let file: String

  /// The number of bytes.
  var count: Int { all.count }

  /// Whether `bytes` are found at an offset.
  func has(_ bytes: [UInt8], at place: Int = 0) -> Bool {
    place >= 0 && place <= count - bytes.count
      && all[place..<place + bytes.count].elementsEqual(bytes)
  }

  /// Whether the ASCII text is found at an offset.
  func has(_ text: String, at place: Int = 0) -> Bool { has(Array(text.utf8), at: place) }

  /// The byte at an offset.
  func byte(_ place: Int) -> Int? { place >= 0 && place < count ? Int(all[place]) : nil }

  /// The unsigned integer of `size` bytes, at most seven, at an offset.
  func number(_ place: Int, size: Int, isBigEndian: Bool) -> Int? {
    guard place >= 0, size <= 7, place <= count - size else { return nil }
    var value = 0
    for i in 0..<size {
      value = value << 8 | Int(all[isBigEndian ? place + i : place + size - 1 - i])
    }
    return value
  }

  /// The unsigned 16-bit integer at an offset, big-endian.
  func big16(_ place: Int) -> Int? { number(place, size: 2, isBigEndian: true) }
  /// The unsigned 32-bit integer at an offset, big-endian.
  func big32(_ place: Int) -> Int? { number(place, size: 4, isBigEndian: true) }
  /// The unsigned 16-bit integer at an offset, little-endian.
  func little16(_ place: Int) -> Int? { number(place, size: 2, isBigEndian: false) }
  /// The unsigned 32-bit integer at an offset, little-endian.
  func little32(_ place: Int) -> Int? { number(place, size: 4, isBigEndian: false) }
}
