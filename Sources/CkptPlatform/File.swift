internal import CCkptLinux
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// An open regular file, read and written by position, by any number of threads at once.
///
/// The descriptor is closed when the last reference goes.
package final class File: Sendable {
  /// Which file it is, whatever it is called.
  package struct Identity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
  }

  /// How it was opened; what errors call it.
  package let path: String
  /// Its size in bytes when it was opened.
  package let size: Int
  /// Which file it is; equal for two names of one file.
  package let identity: Identity
  /// The descriptor, for the calls of this folder.
  package let descriptor: Int32
  private let readCount = Atomic(0)
  private let writtenCount = Atomic(0)
  private let counters = WorkCounters.current

  /// How many bytes were read from it so far, through this object.
  package var bytesRead: Int { readCount.load(ordering: .relaxed) }
  /// How many bytes were written to it so far, through this object.
  package var bytesWritten: Int { writtenCount.load(ordering: .relaxed) }

  /// Opens a regular file for reading.
  ///
  /// - Throws: `FileError` of kind `.cannotOpen`; also for folders, pipes and devices.
  package convenience init(readingFrom path: String) throws(FileError) {
    guard !path.utf8.contains(0) else {
      throw FileError(.cannotOpen, "a file's path cannot hold a NUL", path: "")
    }
    // Without O_NONBLOCK, opening a pipe that nobody writes would wait for ever.
    var descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if descriptor < 0, errno == EMFILE, Self.allowManyOpenFiles() {
      descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    }
    guard descriptor >= 0 else { throw .fromErrno(.cannotOpen, "cannot open", path: path) }
    try self.init(adopting: descriptor, path: path, kind: .cannotOpen)
    counters?.add(.open)
  }

  /// Lets the process open as many files as the system lets it, for checkpoints of many shards; true if
  /// that is more than before.
  @discardableResult
  static func allowManyOpenFiles() -> Bool {
    var limit = rlimit()
    guard getrlimit(openFilesLimit, &limit) == 0, limit.rlim_cur < limit.rlim_max else {
      return false
    }
    // What macOS takes at most, and enough everywhere.
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

  /// Takes over an open descriptor.
  init(adopting descriptor: Int32, path: String, kind: DiagnosticKind) throws(FileError) {
    var status = stat()
    let known = fstat(descriptor, &status)
    let code = errno
    self.descriptor = descriptor
    self.path = path
    size = known == 0 ? Int(status.st_size) : 0
    identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    // From here on deinit closes the descriptor.
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

  /// Fills `bytes` with those from `offset` on.
  ///
  /// - Throws: `FileError` of kind `.inputOutput` where the file is shorter or cannot be read.
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
  }

  /// The `count` bytes from `offset` on.
  ///
  /// Nothing is allocated for bytes that lie beyond the end that the file had at opening.
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
  /// - Throws: `FileError` of kind `.inputOutput` where they cannot be written.
  package func write(_ bytes: [UInt8], at offset: Int) throws(FileError) {
    try bytes.withRawSpan { (bytes) throws(FileError) in try write(bytes, at: offset) }
  }

  /// Writes all of `bytes` at `offset`.
  ///
  /// - Throws: `FileError` of kind `.inputOutput` where they cannot be written.
  package func write(_ bytes: RawSpan, at offset: Int) throws(FileError) {
    var done = 0
    while done < bytes.byteCount {
      let count = bytes.extracting(done...).withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset + done))
      }
      if count >= 0 {
        done += count
        writtenCount.add(count, ordering: .relaxed)
      } else if errno != EINTR {
        throw .fromErrno(.inputOutput, "cannot write at byte \(offset + done)", path: path)
      }
    }
  }

  /// Has the system set space for the first `byteCount` bytes aside, where it can: writing is faster then,
  /// and a disk that is too full is found before the first byte.
  ///
  /// - Throws: `FileError` of kind `.inputOutput` if there is not enough space.
  package func reserve(byteCount: Int) throws(FileError) {
    #if os(Linux)
      guard byteCount > 0, fallocate(descriptor, 0, 0, byteCount) != 0 else { return }
      let code = errno
      // Other errors say that the file system cannot do it, which does no harm.
      guard code == ENOSPC || code == EFBIG else { return }
      throw .fromErrno(
        .inputOutput, "cannot set \(byteCount) bytes aside", path: path, code: code)
    #endif
  }

  /// Lets the system begin to bring written bytes to the disk, so that the sync at the end waits for less.
  ///
  /// Only a hint: it neither waits nor fails.
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
