// What this library reads from files, for `scripts/interop/differential.py`, which compares it with the formats' own
// libraries.
//
//     CkptValueCheck        for each path on stdin a line of JSON: the tensors of the root with SHA-256 of their bytes,
//                           or the error; for `zip:PATH` the records of an archive

internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors
internal import CkptZip
internal import Crypto
internal import Foundation
internal import StateDictKit

struct Answer: Encodable {
  /// A tensor's or a record's name, dtype, shape, and SHA-256.
  struct Entry: Encodable {
    let key: String
    var dtype: String?
    var shape: [Int]?
    let sha256: String
  }

  var entries: [Entry]?
  var error: String?

  init(_ path: String) {
    do {
      entries =
        path.hasPrefix("zip:")
        ? try Self.records(String(path.dropFirst(4))) : try Self.tensors(path)
    } catch {
      self.error = "\(error)"
    }
  }

  private static func tensors(_ path: String) throws -> [Entry] {
    try Checkpoint(contentsOf: path).stateDict(at: "/").tensors.map { key, tensor in
      Entry(
        key: key, dtype: tensor.dtype.name, shape: tensor.shape,
        sha256: tensor.isMeta ? "meta" : hex(try tensor.resolvedSource().allBytes()))
    }
  }

  private static func records(_ path: String) throws -> [Entry] {
    let archive = try ZipReader(path: path)
    return try archive.entries.map { entry in
      Entry(key: entry.name, sha256: hex(try archive.read(entry, limit: 1 << 24)))
    }
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    SHA256.hash(data: bytes).map { (byte: UInt8) in
      String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }.joined()
  }
}

let encoder = JSONEncoder()
while let line = readLine() {
  FileHandle.standardOutput.write(try encoder.encode(Answer(line)) + Data([10]))
}
