internal import CCkptLinux
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// An open regular file, read and written at given offsets, by several threads at the same time.
///
/// The descriptor is closed when the object is released.
package final class File: Sendable {
  /// Identifies a file independently of its name.
  package struct Identity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
  }

  /// The path it was opened by, used in error messages.
  package let path: String
  /// The size in bytes when the file was opened.
  package let size: Int
  /// The file's identity; equal for two names of the same file.
  package let identity: Identity
  /// The file descriptor, for system calls in this module.
  package let descriptor: Int32
  /// The time of the last change when the file was opened; nil for a file of this process's own.
  private let modification: Modification?
  private let readCount = Atomic(0)
  private let writtenCount = Atomic(0)
  private let counters = WorkCounters.current

  /// The time at which a file's bytes were changed last.
  private struct Modification: Equatable {
    let seconds, nanoseconds: Int

    init(_ status: stat) {
      #if canImport(Darwin)
        let time = status.st_mtimespec
      #else
        let time = status.st_mtim
      #endif
      (seconds, nanoseconds) = (Int(time.tv_sec), Int(time.tv_nsec))
    }
  }

  /// The number of bytes read through this object so far.
  package var bytesRead: Int { readCount.load(ordering: .relaxed) }
  /// The number of bytes written through this object so far.
  package var bytesWritten: Int { writtenCount.load(ordering: .relaxed) }

  /// Opens a regular file for reading.
  ///
  /// - Throws: `FileError` of kind `.cannotOpen`, also for folders, pipes, and devices.
  package convenience init(readingFrom path: String) throws(FileError) {
    guard !path.utf8.contains(0) else {
      throw FileError(.cannotOpen, "a file's path cannot hold a NUL", path: "")
    }
    // Without O_NONBLOCK, opening a pipe without a writer would block.
    var descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if descriptor < 0, errno == EMFILE, Self.allowManyOpenFiles() {
      descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    }
    guard descriptor >= 0 else { throw .fromErrno(.cannotOpen, "cannot open", path: path) }
    try self.init(adopting: descriptor, path: path, kind: .cannotOpen, isInput: true)
    counters?.add(.open)
  }

  /// Raises the process's limit of open files to the system's maximum, for checkpoints with many
  /// shards; returns whether the limit was raised.
  @discardableResult
  static func allowManyOpenFiles() -> Bool {
    var limit = rlimit()
    guard getrlimit(openFilesLimit, &limit) == 0, limit.rlim_cur < limit.rlim_max else {
      return false
    }
    // The maximum on macOS, and enough elsewhere.
    let wanted = min(limit.rlim_max, 10_240)
    guard wanted > limit.rlim_cur else { return false }
    limit.rlim_cur = wanted
    return setrlimit(openFilesLimit, &limit) == 0
  }

  #if canImport(Glibc)
    private static let openFilesLimit = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  #else
    private static let openFilesLimit = RLIMIT_NOFILE
  #endif

  /// Creates an object that owns an open descriptor.
  ///
  /// - Parameter isInput: whether other programs must not change the file while it is read.
  /// - Throws: `FileError` of the given kind if it is not a regular file.
  init(
    adopting descriptor: Int32, path: String, kind: DiagnosticKind, isInput: Bool = false
  ) throws(FileError) {
    var status = stat()
    let known = fstat(descriptor, &status)
    let code = errno
    self.descriptor = descriptor
    self.path = path
    size = known == 0 ? Int(status.st_size) : 0
    modification = isInput && known == 0 ? Modification(status) : nil
    identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    // From here on, `deinit` closes the descriptor.
    guard known == 0 else { throw .fromErrno(kind, "cannot look at", path: path, code: code) }
    let type = status.st_mode & S_IFMT
    guard type != S_IFDIR else { throw FileError(kind, "is a folder, not a file", path: path) }
    guard type == S_IFREG else {
      throw FileError(
        kind, "is not a regular file", path: path,
        hint: "a checkpoint is read by position; copy the stream to a file first")
    }
  }

  deinit { _ = close(descriptor) }

  /// Reads bytes starting at `offset` until `bytes` is full.
  ///
  /// - Throws: `FileError` of kind `.inputOutput` if the file ends before, cannot be read, or was
  ///   changed since it was opened.
  package func read(into bytes: inout MutableRawSpan, at offset: Int) throws(FileError) {
    guard offset >= 0 else { throw endsEarly(at: offset) }
    var done = 0
    while done < bytes.byteCount {
      var rest = bytes._mutatingExtracting(done...)
      let count = rest.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress, $0.count, off_t(offset + done))
      }
      if count > 0 {
        done += count
        readCount.add(count, ordering: .relaxed)
        counters?.add(.byteRead, count)
      } else if count == 0 {
        throw endsEarly(at: offset + done)
      } else if errno != EINTR {
        throw .fromErrno(.inputOutput, "cannot read at byte \(offset + done)", path: path)
      }
    }
    try checkIsUnchanged()
  }

  /// Checks that the file has not been changed since it was opened, so that no result mixes old and
  /// new contents.
  private func checkIsUnchanged() throws(FileError) {
    guard let modification else { return }
    var status = stat()
    guard fstat(descriptor, &status) == 0,
      Modification(status) != modification || status.st_size != size
    else { return }
    throw FileError(
      .inputOutput, "the file was changed while it was read", path: path,
      hint: "wait until the other program has written it, and run this again")
  }

  /// Reads `count` bytes starting at `offset`.
  ///
  /// The range is checked against the file's size before memory is allocated.
  ///
  /// - Throws: `FileError` of kind `.inputOutput`.
  package func bytes(at offset: Int, count: Int) throws(FileError) -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
      throw endsEarly(at: offset)
    }
    do {
      return try [UInt8](byteCount: count) { try read(into: &$0, at: offset) }
    } catch let error as FileError {
      throw error
    } catch {
      throw FileError(.inputOutput, "\(error)", path: path)
    }
  }

  /// Writes all of `bytes` at `offset`.
  ///
  /// - Throws: `FileError` of kind `.inputOutput`.
  package func write(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    try bytes.withRawSpan { (bytes) throws(FileError) in try write(bytes, at: offset) }
  }

  /// Writes all of `bytes` at `offset`.
  ///
  /// - Throws: `FileError` of kind `.inputOutput`.
  package func write(_ bytes: RawSpan, at offset: Int) throws(FileError) {
    var done = 0
    while done < bytes.byteCount {
      let count = bytes.extracting(done...).withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset + done))
      }
      if count > 0 {
        done += count
        writtenCount.add(count, ordering: .relaxed)
      } else if count == 0 || errno != EINTR {
        throw .fromErrno(
          .inputOutput, "cannot write at byte \(offset + done)", path: path,
          code: count == 0 ? EIO : errno)
      }
    }
  }

  /// Allocates disk space for the first `byteCount` bytes, if the file system supports it. Writing
  /// is then faster, and a full disk is detected before the first byte is written.
  ///
  /// - Throws: `FileError` of kind `.inputOutput` if there is not enough space.
  package func reserve(byteCount: Int) throws(FileError) {
    #if os(Linux)
      guard byteCount > 0, fallocate(descriptor, 0, 0, byteCount) != 0 else { return }
      let code = errno
      // Other errors mean that the file system does not support this, which is harmless.
      guard [ENOSPC, EFBIG, EDQUOT, EIO].contains(code) else { return }
      throw .fromErrno(
        .inputOutput, "cannot set \(byteCount) bytes aside", path: path, code: code)
    #endif
  }

  /// Starts writing data to the disk in the background, so that the final sync takes less time.
  ///
  /// This is a hint only: it does not wait, and errors are ignored.
  package func beginSync(at offset: Int, count: Int) {
    #if os(Linux)
      // SYNC_FILE_RANGE_WRITE.
      _ = sync_file_range(descriptor, offset, count, 2)
    #endif
  }

  private func endsEarly(at offset: Int) -> FileError {
    FileError(.inputOutput, "the file ends before byte \(offset)", path: path)
  }
}
