internal import CCkptZip
internal import CkptBytes
internal import CkptPlatform
internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// An archive opened with libzip. It is the first of two readers whose results must agree, and the
/// one that inflates.
///
/// A libzip handle may be used by one thread at a time, so every call holds the lock.
final class LibZip: @unchecked Sendable {
  private let handle: OpaquePointer
  private let lock = Mutex(())
  private let path: String

  /// A record's properties as read by libzip.
  struct Entry {
    var byteCount: UInt64
    var compressedByteCount: UInt64
    var crc32: UInt32
    var method: UInt16
  }

  /// Opens the archive in `file`, or in a part of it.
  ///
  /// - Throws: `FileError`; `ZipError.damaged` if libzip does not accept the archive.
  init(_ file: File, in part: Range<Int>? = nil) throws {
    path = file.path
    let copy = fcntl(file.descriptor, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else {
      throw FileError(.cannotOpen, "cannot open: too many files are open", path: path)
    }
    var error = zip_error_t()
    zip_error_init(&error)
    defer { zip_error_fini(&error) }
    guard let handle = Self.open(copy, part, &error) else {
      let reason = zip_error_strerror(&error).map { String(cString: $0) } ?? "unknown error"
      // The file is open, so that this concerns the process and not the archive.
      guard zip_error_code_zip(&error) != ZIP_ER_OPEN else {
        throw FileError(.cannotOpen, "cannot open: too many files are open", path: path)
      }
      throw ZipError.damaged(
        file: path, "libzip refuses the archive: \(reason)", offset: part?.lowerBound ?? 0)
    }
    self.handle = handle
  }

  /// Opens an archive from a descriptor, which it then owns; nil with `error` set if that fails.
  private static func open(
    _ descriptor: Int32, _ part: Range<Int>?, _ error: inout zip_error_t
  ) -> OpaquePointer? {
    guard let part else {
      var code: Int32 = 0
      if let handle = zip_fdopen(descriptor, 0, &code) { return handle }
      close(descriptor)
      zip_error_set(&error, code, 0)
      return nil
    }
    guard let stream = fdopen(descriptor, "rb") else {
      close(descriptor)
      zip_error_set(&error, ZIP_ER_OPEN, errno)
      return nil
    }
    let source = zip_source_filep_create(
      stream, zip_uint64_t(part.lowerBound), zip_int64_t(part.count), &error)
    guard let source else {
      fclose(stream)
      return nil
    }
    // From here on, the source owns and closes the stream.
    guard let handle = zip_open_from_source(source, ZIP_RDONLY, &error) else {
      zip_source_free(source)
      return nil
    }
    return handle
  }

  deinit { zip_discard(handle) }

  /// The number of records, according to libzip.
  var count: Int { lock.withLock { _ in Int(zip_get_num_entries(handle, 0)) } }

  /// The properties of the record at `index` in the directory; nil if libzip reads a different
  /// name.
  func entry(at index: Int, ifNamed expected: String) -> Entry? {
    lock.withLock { _ in
      var found = zip_stat_t()
      let flags = zip_flags_t(ZIP_FL_ENC_RAW)
      guard zip_stat_index(handle, zip_uint64_t(index), flags, &found) == 0, let name = found.name,
        UnsafeRawBufferPointer(start: name, count: strlen(name)).elementsEqual(expected.utf8)
      else { return nil }
      return Entry(
        byteCount: found.size, compressedByteCount: found.comp_size, crc32: found.crc,
        method: found.comp_method)
    }
  }

  /// Reads the inflated bytes of a record sequentially; libzip checks their CRC-32 at the end.
  final class Stream: ByteReader {
    private let owner: LibZip
    private let stream: OpaquePointer
    private let name: String
    private var left: Int
    private let whenWhole: @Sendable () -> Void

    /// - Parameter whenWhole: called when all bytes have been read and match the checksum.
    init(
      _ owner: LibZip, index: Int, name: String, byteCount: Int,
      whenWhole: @escaping @Sendable () -> Void
    ) throws {
      let opened = owner.lock.withLock { _ in
        // Returned as an integer, since a lock's closure cannot return a pointer.
        UInt(bitPattern: zip_fopen_index(owner.handle, zip_uint64_t(index), 0))
      }
      guard let stream = OpaquePointer(bitPattern: opened) else {
        throw ZipError.badEntry(file: owner.path, entry: name, "libzip cannot read the record")
      }
      self.owner = owner
      self.stream = stream
      self.name = name
      left = byteCount
      self.whenWhole = whenWhole
    }

    deinit { owner.lock.withLock { _ in _ = zip_fclose(stream) } }

    private func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
      let address = UInt(bitPattern: buffer.baseAddress)
      return owner.lock.withLock { _ in
        Int(zip_fread(stream, UnsafeMutableRawPointer(bitPattern: address), UInt64(buffer.count)))
      }
    }

    func read(into bytes: inout MutableRawSpan) throws {
      var done = 0
      while done < bytes.byteCount {
        var rest = bytes._mutatingExtracting(done...)
        let count = rest.withUnsafeMutableBytes { fill($0) }
        guard count > 0 else { throw problem("its compressed bytes are damaged") }
        done += count
      }
      left -= done
      if left == 0 {
        // This must be the end of the record. Only reading beyond it makes libzip compare the
        // checksum.
        let more = withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { fill($0) }
        guard more == 0 else { throw problem("its compressed bytes are damaged, or too many") }
        whenWhole()
      }
    }

    private func problem(_ text: String) -> ZipError {
      .badEntry(file: owner.path, entry: name, text)
    }
  }
}
