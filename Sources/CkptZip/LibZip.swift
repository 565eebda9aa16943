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

/// libzip's view of an archive: the first of the two readers that must agree, and the one that inflates.
///
/// libzip's handles belong to one thread at a time; every call here holds the lock.
final class LibZip: @unchecked Sendable {
  private let handle: OpaquePointer
  private let lock = Mutex(())
  private let path: String

  /// What libzip knows of a record.
  struct Entry {
    var byteCount: UInt64
    var compressedByteCount: UInt64
    var crc32: UInt32
    var method: UInt16
  }

  /// Opens the archive in `file`, or in a part of it.
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
      throw ZipError.damaged(
        file: path, "libzip refuses the archive: \(reason)", offset: part?.lowerBound ?? 0)
    }
    self.handle = handle
  }

  /// Takes over a descriptor.
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
    // From here on the source closes the stream.
    guard let handle = zip_open_from_source(source, ZIP_RDONLY, &error) else {
      zip_source_free(source)
      return nil
    }
    return handle
  }

  deinit { zip_discard(handle) }

  /// How many records libzip sees.
  var count: Int { lock.withLock { _ in Int(zip_get_num_entries(handle, 0)) } }

  /// What libzip knows of the record at `index` of the directory; nil if it calls it something else.
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

  /// Goes through the inflated bytes of a record; libzip checks their CRC-32 at the end.
  final class Stream: ByteReader {
    private let owner: LibZip
    private let stream: OpaquePointer
    private let name: String
    private var left: Int

    init(_ owner: LibZip, index: Int, name: String, byteCount: Int) throws {
      let opened = owner.lock.withLock { _ in
        // Passed on as a number: pointers do not leave a lock.
        UInt(bitPattern: zip_fopen_index(owner.handle, zip_uint64_t(index), 0))
      }
      guard let stream = OpaquePointer(bitPattern: opened) else {
        throw ZipError.badEntry(file: owner.path, entry: name, "libzip cannot read the record")
      }
      self.owner = owner
      self.stream = stream
      self.name = name
      left = byteCount
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
        // The end must be here, and only libzip's read beyond it compares the checksum.
        let more = withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { fill($0) }
        guard more == 0 else { throw problem("its compressed bytes are damaged, or too many") }
      }
    }

    private func problem(_ text: String) -> ZipError {
      .badEntry(file: owner.path, entry: name, text)
    }
  }
}

/// A deflated record.
struct InflatedBytes: ComputedBytes {
  let archive: LibZip
  let index: Int
  let name: String
  let byteCount: Int
  let isRandomAccess = false

  func makeReader(at offset: Int) throws -> any ByteReader {
    try LibZip.Stream(archive, index: index, name: name, byteCount: byteCount)
  }
}
