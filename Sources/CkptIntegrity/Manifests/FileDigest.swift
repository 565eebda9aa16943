internal import Crypto
internal import Foundation
internal import CkptBytes
package import CkptPlatform
internal import CkptText

/// Digests of files.
package enum FileDigest {
  /// The SHA-256 of a file's bytes, in hexadecimal digits.
  ///
  /// - Parameters:
  ///   - range: the byte range; nil for the whole file.
  ///   - progress: called with the number of bytes read since the last call.
  /// - Throws: `FileError`; `CancelledError`.
  package static func sha256(
    of file: File, in range: Range<Int>? = nil, cancellation: Cancellation = Cancellation(),
    progress: (@Sendable (Int) -> Void)? = nil
  ) throws -> String {
    try digest(SHA256(), of: file, in: range ?? 0..<file.size, cancellation, progress)
  }

  /// The name that Git gives to a file's contents: the SHA-1 of `blob `, the size, a NUL, and the
  /// bytes.
  ///
  /// - Throws: as ``sha256(of:in:cancellation:progress:)``.
  static func gitBlob(
    of file: File, _ cancellation: Cancellation, _ progress: (@Sendable (Int) -> Void)?
  ) throws -> String {
    var hash = Insecure.SHA1()
    hash.update(data: Array("blob \(file.size)\0".utf8))
    return try digest(hash, of: file, in: 0..<file.size, cancellation, progress)
  }

  /// The SHA-256 of bytes in memory, in hexadecimal digits.
  static func sha256(of bytes: [UInt8]) -> String {
    Array(SHA256.hash(data: bytes)).hexadecimal
  }

  private static func digest(
    _ start: some HashFunction, of file: File, in range: Range<Int>, _ cancellation: Cancellation,
    _ progress: (@Sendable (Int) -> Void)?
  ) throws -> String {
    var hash = start
    let region = FileRegion(
      file: file, offset: range.lowerBound, byteCount: range.count, name: file.path)
    try ByteSource.region(region).forEachBlock { block, _ in
      try cancellation.check()
      block.withUnsafeBytes { hash.update(bufferPointer: $0) }
      progress?(block.byteCount)
    }
    return Array(hash.finalize()).hexadecimal
  }
}
