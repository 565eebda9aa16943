internal import CCkptLinux

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A thread of the operating system.
///
/// Unlike the threads of Dispatch and Foundation, it is an error if the system has none to give:
/// those wait without end, or never start.
package struct SystemThread: @unchecked Sendable {
  #if canImport(Glibc)
    private let id: pthread_t
  #else
    private let id: pthread_t?
  #endif

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts a thread that calls `body`. Either ``join()`` or ``detach()`` must be called once.
  ///
  /// - Parameter stackSize: the size of the thread's stack in bytes.
  /// - Throws: ``ThreadError`` if the system has no thread to give.
  package init(
    stackSize: Int = 8 << 20, _ body: @escaping @Sendable () -> Void
  ) throws(ThreadError) {
    let box = Unmanaged.passRetained(Body(body))
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    pthread_attr_setstacksize(&attributes, stackSize)
    #if canImport(Glibc)
      var id = pthread_t()
      let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
        if let box = $0 { SystemThread.run(box) }
        return nil
      }
    #elseif canImport(Musl)
      var id: pthread_t?
      let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
        if let box = $0 { SystemThread.run(box) }
        return nil
      }
    #else
      var id: pthread_t?
      let start: @convention(c) (UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? = {
        SystemThread.run($0)
        return nil
      }
    #endif
    let code = pthread_create(&id, &attributes, start, box.toOpaque())
    pthread_attr_destroy(&attributes)
    guard code == 0 else {
      box.release()
      throw ThreadError(code: code)
    }
    self.id = id
  }

  private static func run(_ box: UnsafeMutableRawPointer) {
    Unmanaged<Body>.fromOpaque(box).takeRetainedValue().run()
  }

  /// Waits until the thread has ended.
  package func join() {
    #if canImport(Glibc)
      pthread_join(id, nil)
    #else
      if let id { pthread_join(id, nil) }
    #endif
  }

  /// Lets the thread run on by itself.
  package func detach() {
    #if canImport(Glibc)
      pthread_detach(id)
    #else
      if let id { pthread_detach(id) }
    #endif
  }
}

/// The error that the system has no thread to give.
package struct ThreadError: Diagnostic {
  /// The error number of the system.
  let code: Int32

  /// The category of the error: the machine, not the input, is at fault.
  package var kind: DiagnosticKind { .inputOutput }
  /// One line that says what is wrong.
  package var description: String {
    "no thread can be started: \(FileError.reason(code))"
  }
}
