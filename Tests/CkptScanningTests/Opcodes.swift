import Testing

/// Opcodes of a pickle, one after the other.
struct Opcodes: ExpressibleByArrayLiteral, CustomTestStringConvertible {
  var bytes: [UInt8]
  init(_ text: String) { bytes = Array(text.unicodeScalars.map { UInt8($0.value) }) }
  init(arrayLiteral parts: Opcodes...) { bytes = parts.flatMap(\.bytes) }
  var testDescription: String { "\(bytes.count) bytes" }

  static func name(_ module: String, _ name: String) -> Opcodes { Opcodes("c\(module)\n\(name)\n") }
  static func text(_ text: String) -> Opcodes {
    Opcodes("U\(String(Unicode.Scalar(UInt8(text.utf8.count))))\(text)")
  }
  static func + (left: Opcodes, right: Opcodes) -> Opcodes { [left, right] }
  static func call(_ callee: Opcodes, _ arguments: Opcodes...) -> Opcodes {
    [callee, "("] + arguments.reduce([]) { $0 + $1 } + "tR"
  }
  static let system = name("os", "system")
}

extension Opcodes: ExpressibleByStringLiteral {
  init(stringLiteral value: String) { self.init(value) }
}
