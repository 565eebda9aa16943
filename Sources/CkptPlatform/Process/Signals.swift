internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The signals that end a process: SIGINT, SIGTERM, and SIGHUP.
///
/// The handler only writes to a pipe; a thread reads it and calls the watches. A signal that the
/// process was started with ignoring, as by `nohup`, stays ignored.
enum Signals {
  private struct State {
    var handlers: [(id: Int, handle: @Sendable () -> Void)] = []
    var nextID = 0
    var exitStatus: Int32?
  }

  private static let state = Mutex(State())
  /// The end of the pipe that the handler writes to. It is written once, before the handler is set.
  private nonisolated(unsafe) static var pipeEnd: Int32 = -1

  /// Sets the handlers. Without a watch, a signal ends the process with `exitStatus`; if this is never
  /// called, as usual.
  static func begin(exitStatus: Int32) {
    state.withLock { $0.exitStatus = exitStatus }
    _ = isHandled
  }

  /// Has `handle` called for each signal from now on, instead of the handler that was added before.
  static func add(_ handle: @escaping @Sendable () -> Void) -> Int {
    _ = isHandled
    return state.withLock {
      $0.nextID += 1
      $0.handlers.append(($0.nextID, handle))
      return $0.nextID
    }
  }

  /// Takes a handler away.
  static func remove(_ id: Int) { state.withLock { $0.handlers.removeAll { $0.id == id } } }

  /// Whether the handlers are set. They are not if there is neither a pipe nor a thread for them;
  /// then signals end the process as usual.
  private static let isHandled: Bool = {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return false }
    let reader = ends[0]
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    pipeEnd = ends[1]
    guard let thread = try? SystemThread(stackSize: 256 << 10, { listen(reader) }) else {
      for end in ends { close(end) }
      return false
    }
    thread.detach()
    for number in [SIGINT, SIGTERM, SIGHUP] {
      let previous = signal(number, SIG_IGN)
      // 1 is SIG_IGN.
      if unsafeBitCast(previous, to: Int.self) == 1 { continue }
      signal(number) { number in
        let code = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(Signals.pipeEnd, &byte, 1)
        errno = code
      }
    }
    return true
  }()

  private static func listen(_ descriptor: Int32) {
    var byte: UInt8 = 0
    while true {
      let count = read(descriptor, &byte, 1)
      guard count == 1 else {
        if count < 0, errno == EINTR { continue }
        return
      }
      let (handle, status) = state.withLock { ($0.handlers.last?.handle, $0.exitStatus) }
      if let handle {
        handle()
      } else if let status {
        TemporaryFiles.removeAll()
        _exit(status)
      } else {
        signal(Int32(byte), SIG_DFL)
        kill(getpid(), Int32(byte))
      }
    }
  }
}
