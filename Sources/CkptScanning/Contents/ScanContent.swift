internal import CkptBytes
internal import CkptPlatform
internal import CkptText

/// Bytes that are examined as a file of their own: a file, a record or member of an archive, or
/// what a compressed stream holds.
struct ScanContent {
  /// How it is called in the report; empty for the file itself.
  var place = ""
  /// The bytes; compressed, if `compression` is not nil.
  var source: ByteSource
  /// The number of archives and compressed streams around it.
  var depth = 0
  /// The stream that is decompressed before it is examined.
  var compression: Compression?
  /// The checksum that an archive records for the bytes.
  var recordedCRC32: UInt32?
  /// The number of bytes that an archive states.
  var statedByteCount: Int?
  /// Whether it is in a TorchScript archive, which C++ code reads.
  var isTorchScript = false
  /// Whether its name says that it is a pickle, so that it is damaged if it is none.
  var isNamedPickle = false
  /// Whether it is a member of a tar archive by one of the names that PyTorch reads.
  var tarMember: TarMember?
  /// Byte ranges that an index, such as `.metadata`, refers to.
  var references: [Range<Int>] = []

  /// The members of PyTorch's tar archives in which numbers stand between pickles.
  enum TarMember: String {
    case storages
    case tensors
  }

  /// Whether a file with a name is taken for a pickle.
  static func isPickleName(_ name: String) -> Bool {
    [".pkl", ".pickle"].contains { name.foldingASCII.hasSuffix($0) }
  }

  /// The name of a part of it in the report.
  func place(of part: String) -> String { place.isEmpty ? part : "\(place): \(part)" }
}

/// The work that one file may cause. Archives can hold the same bytes many times, and compressed
/// ones expand.
struct ScanBudget {
  /// The number of bytes that may still be decompressed or examined.
  private(set) var left: Int

  /// The maximum depth of archives in archives.
  static let depthLimit = 8
  /// The maximum number of records and members in all archives of a file.
  static let partLimit = 1 << 20

  /// The work for a file of `byteCount` bytes.
  init(byteCount: Int) {
    let (product, overflow) = byteCount.multipliedReportingOverflow(by: 32)
    left = overflow || product > .max / 2 ? .max : product + 48 << 20
  }

  /// Whether nothing is left.
  var isUsedUp: Bool { left <= 0 }

  /// Counts work.
  mutating func use(_ count: Int) { left -= min(left, max(count, 0)) }
}
