#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The process's standard output or standard error.
package enum StandardStream: Int32, Sendable {
  /// Standard output.
  case output = 1
  /// Standard error.
  case error = 2

  /// An error of writing to a stream.
  package struct Failure: Error, Sendable {
    /// The system's text for the error.
    package let reason: String
    /// Whether the reader of a pipe has gone, which is usual: it has read enough.
    package let isClosedPipe: Bool
  }

  /// Whether the stream is a terminal.
  package var isTerminal: Bool { isatty(rawValue) == 1 }

  /// Writes all bytes.
  ///
  /// - Throws: ``Failure``.
  package func write(_ bytes: [UInt8]) throws(Failure) {
    var done = 0
    while done < bytes.count {
      let count = bytes[done...].withUnsafeBytes { write_(rawValue, $0.baseAddress, $0.count) }
      if count > 0 {
        done += count
      } else if count < 0, errno == EAGAIN {
        // Another program made the stream non-blocking.
        var waiting = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
        _ = poll(&waiting, 1, 1000)
      } else if count == 0 || errno != EINTR {
        let code = count == 0 ? EIO : errno
        throw Failure(reason: FileError.reason(code), isClosedPipe: code == EPIPE)
      }
    }
  }
}

/// The system's `write`, which the method's name hides.
private func write_(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
  write(descriptor, bytes, count)
}
