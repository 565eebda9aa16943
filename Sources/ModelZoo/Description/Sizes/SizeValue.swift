/// What an expression of sizes comes to, before any model is there.
enum SizeValue: Sendable, Hashable {
  case integer(Int)
  case number(Double)
  case flag(Bool)
  case none
  case list([SizeValue])
  /// A word that stands for itself, such as `tanh`.
  case word(String)

  /// As people write it.
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

  /// As Python's `bool` takes it.
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
