internal import CkptBytes
internal import CkptIO
internal import CkptPlatform
internal import CkptTensors

/// What is left of a storage's bytes: a number of bytes at its start. The rest is zeros.
struct Remains {
  /// The bytes, as many as the storage has.
  let source: ByteSource
  /// The number of bytes at the start that are the original's.
  let knownByteCount: Int
  /// Why the others are not; of a complete storage that may be damaged, why it may be.
  let reason: String
  /// Whether the bytes may be damaged, or were left out because of that.
  let isUnverified: Bool

  /// Creates the remains of a storage of `byteCount` bytes, which begins with the bytes of `known`.
  init(
    _ known: ByteSource?, of byteCount: Int, reason: String = "", isUnverified: Bool = false
  ) {
    self.reason = reason
    self.isUnverified = isUnverified
    guard let known, known.byteCount > 0 || byteCount == 0 else {
      knownByteCount = 0
      source = .computed(ZeroBytes(byteCount: byteCount))
      return
    }
    knownByteCount = min(known.byteCount, byteCount)
    guard known.byteCount < byteCount else {
      source = known
      return
    }
    let zeros = ByteSource.computed(ZeroBytes(byteCount: byteCount - known.byteCount))
    // The sum of the two is `byteCount`, which does not overflow.
    source = JoinedBytes([known, zeros]).map { .computed($0) } ?? zeros
  }

  /// Creates the remains of a storage in a file that is known up to `end`; the region may exceed
  /// it.
  init(_ region: FileRegion, upTo end: Int, reason: String) {
    var known = region
    known.byteCount = max(0, min(region.byteCount, end - region.offset))
    self.init(
      known.byteCount > 0 ? .region(known) : nil, of: region.byteCount,
      reason: known.byteCount > 0
        ? "\(reason) \(Self.part(known.byteCount, region.byteCount))" : reason)
  }

  /// Says how many of a storage's bytes are there.
  static func part(_ known: Int, _ all: Int) -> String {
    "(\(known) of \(all) bytes of its storage are there)"
  }
}

extension Tensor {
  /// The number of bytes at the start of the storage that contain all elements.
  var reachedByteCount: Int {
    guard !isMeta, !shape.contains(0) else { return 0 }
    let last = zip(shape, strides).reduce(offset) { $0 + ($1.0 - 1) * $1.1 }
    return dtype.byteCount(ofElements: last + 1) ?? .max
  }
}

/// The end of the data in a file that is cut off.
enum DataEnd {
  /// The number of zeros at the end of a file from which they are taken for a hole, which some file
  /// systems leave when a write is interrupted: one page.
  static let holeByteCount = 4096

  /// The number of bytes of `file` without a hole at its end.
  ///
  /// - Throws: `FileError`; `CancelledError`.
  static func offset(in file: File, _ cancellation: Cancellation) throws -> Int {
    var end = file.size
    while end > 0 {
      try cancellation.check()
      let count = min(end, ByteSource.blockSize)
      let block = try file.bytes(at: end - count, count: count)
      if let last = block.lastIndex(where: { $0 != 0 }) {
        end += last + 1 - count
        break
      }
      end -= count
    }
    return file.size - end >= holeByteCount ? end : file.size
  }
}

extension ByteSource {
  /// The first bytes of a source. A part of a region has no checksum.
  func first(_ count: Int) -> ByteSource {
    guard count < byteCount else { return self }
    guard case .region(let region) = self else { return part(0..<count) }
    return .region(
      FileRegion(file: region.file, offset: region.offset, byteCount: count, name: region.name))
  }
}
