/// The value of an expression of sizes, computed before the model is built.
enum SizeValue: Sendable, Hashable {
  case integer(Int)
  case number(Double)
  case flag(Bool)
  case none
  case list([SizeValue])
  /// An unquoted string, such as `tanh`.
  case word(String)

  /// The value in Python's notation.
  var text: String {
    switch self {
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .flag(let value): value ? "True" : "False"
    case .none: "None"
    case .list(let values): "(" + values.map(\.text).joined(separator: ", ") + ")"
    case .word(let word): word
    }
  }

  /// The value as a bool, by Python's rules.
  var isTrue: Bool {
    switch self {
    case .integer(let value): value != 0
    case .number(let value): value != 0
    case .flag(let value): value
    case .none: false
    case .list(let values): !values.isEmpty
    case .word: true
    }
  }

  var asNumber: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }
}
