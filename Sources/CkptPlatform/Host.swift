#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The machine that this runs on.
package enum Host {
  /// Its name, as the system tells it without asking the network; empty where it tells none.
  package static var name: String {
    var name = [CChar](repeating: 0, count: 256)
    // The last byte stays 0: the system may cut a long name off without one.
    guard gethostname(&name, name.count - 1) == 0 else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
