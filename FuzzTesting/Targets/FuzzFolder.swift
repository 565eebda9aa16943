internal import Foundation

/// A folder for the files that a target reads, in memory if the system has such a place.
public final class FuzzFolder {
  /// Its path.
  public let path: String

  /// Creates an empty folder.
  ///
  /// - Throws: what `FileManager` throws.
  public init() throws {
    let memory = URL(filePath: "/dev/shm")
    let isThere = FileManager.default.isWritableFile(atPath: memory.path)
    let parent = isThere ? memory : FileManager.default.temporaryDirectory
    let url = parent.appending(path: "ckpt-fuzz-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path(percentEncoded: false)
  }

  deinit { remove() }

  /// Removes the folder.
  public func remove() { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file in place of the last one of that name; returns its path.
  func write(_ bytes: [UInt8], to name: String) throws -> String {
    let file = path + "/" + name
    guard let handle = fopen(file, "wb") else { throw CocoaError(.fileWriteUnknown) }
    defer { fclose(handle) }
    guard fwrite(bytes, 1, bytes.count, handle) == bytes.count else {
      throw CocoaError(.fileWriteOutOfSpace)
    }
    return file
  }

  /// The path of a folder in this one, which is created if needed.
  func folder(_ name: String) throws -> String {
    let folder = path + "/" + name
    try FileManager.default.createDirectory(
      atPath: folder, withIntermediateDirectories: true)
    return folder
  }
}
