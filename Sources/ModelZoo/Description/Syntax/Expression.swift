/// An expression of a description: a layer with its arguments, a size, or a step of a forward pass.
/// The language is a subset of Python's expressions.
indirect enum Expression: Sendable, Hashable {
  case integer(Int)
  case number(Double)
  /// A variable, a size, a module, or a word such as `tanh`.
  case name(String)
  /// `value.name`; in a path also `value.0`.
  case member(Expression, String)
  case index(Expression, [Subscript])
  case call(Expression, [Argument])
  case list([Expression])
  case unary(UnaryOperator, Expression)
  case binary(BinaryOperator, Expression, Expression)
  /// `first if condition else second`
  case condition(Expression, first: Expression, second: Expression)

  /// An argument of a call.
  struct Argument: Sendable, Hashable {
    let name: String?
    let value: Expression
  }

  /// One part of `value[…]`.
  enum Subscript: Sendable, Hashable {
    case at(Expression)
    case slice(Expression?, Expression?)
  }

  enum UnaryOperator: Sendable, Hashable {
    case minus, not
  }

  enum BinaryOperator: String, Sendable, Hashable {
    case or = "or"
    case and = "and"
    case equal = "=="
    case notEqual = "!="
    case lessOrEqual = "<="
    case greaterOrEqual = ">="
    case less = "<"
    case greater = ">"
    case plus = "+"
    case minus = "-"
    case floorDivide = "//"
    case times = "*"
    case divide = "/"
    case remainder = "%"
    case matrixProduct = "@"

    /// Operators that bind more tightly have larger numbers.
    var strength: Int {
      switch self {
      case .or: 1
      case .and: 2
      case .equal, .notEqual, .lessOrEqual, .greaterOrEqual, .less, .greater: 4
      case .plus, .minus: 5
      case .times, .divide, .floorDivide, .remainder, .matrixProduct: 6
      }
    }
  }

  /// The parts of a path such as `a.b.0`, also written `a.b[0]`; nil for other expressions.
  var path: [String]? {
    switch self {
    case .name(let name): return [name]
    case .member(let head, let name): return head.path.map { $0 + [name] }
    case .index(let head, let parts):
      guard parts.count == 1, case .at(.integer(let number)) = parts[0], number >= 0 else {
        return nil
      }
      return head.path.map { $0 + ["\(number)"] }
    default: return nil
    }
  }
}

/// An error in an expression, with its byte offset.
struct ExpressionError: Error {
  let problem: String
  let offset: Int
}
