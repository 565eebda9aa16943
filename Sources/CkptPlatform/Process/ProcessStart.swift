#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// What a program does before anything else.
package enum ProcessStart {
  /// Prepares the process so that no output is lost or mixed up, and no error ends it by a signal.
  ///
  /// - Standard input, output, and error that are closed are opened so that using them is an error.
  ///   Otherwise the first files that are opened would get their numbers, and what is printed would
  ///   be written into a checkpoint.
  /// - Writing to a closed pipe, or beyond the limit of a file's size, is an error of the write.
  /// - SIGINT, SIGTERM, and SIGHUP end the process with `interrupted`, and leave no temporary file.
  package static func prepare(interrupted exitStatus: Int32) {
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) == -1 && errno == EBADF {
      // The lowest free number is given, which is this one.
      _ = open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY)
    }
    // 0 is SIG_DFL.
    pipeEnds = unsafeBitCast(signal(SIGPIPE, SIG_IGN), to: Int.self) == 0
    signal(SIGXFSZ, SIG_IGN)
    Signals.begin(exitStatus: exitStatus)
  }

  /// The arguments after the program's name.
  ///
  /// - Throws: `FileError` of kind `.usage` for one that is not UTF-8, since it could not be passed
  ///   on unchanged: another file would be read or written.
  package static func arguments() throws(FileError) -> [String] {
    var found: [String] = []
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let bytes = CommandLine.unsafeArgv[index] else { break }
      guard let text = String(validatingCString: bytes) else {
        throw FileError(
          .usage, "an argument is not UTF-8", path: String(cString: bytes),
          hint: "rename the file, or give it a link whose name is UTF-8")
      }
      found.append(text)
    }
    return found
  }

  /// Ends the process as a program ends that writes to a closed pipe, unless it was started with
  /// ignoring that signal.
  package static func endByClosedPipe() {
    guard pipeEnds else { return }
    signal(SIGPIPE, SIG_DFL)
    raise(SIGPIPE)
  }

  /// Whether writing to a closed pipe ended the process when it was started.
  private nonisolated(unsafe) static var pipeEnds = false
}
