#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The machine on which the program runs.
package enum Host {
  /// The host name from the system, without a network request; empty if there is none.
  package static var name: String {
    var name = [CChar](repeating: 0, count: 256)
    // The last byte remains 0, because the system may truncate a long name without terminating it.
    guard gethostname(&name, name.count - 1) == 0 else { return "" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
