internal import CkptText
internal import CkptBytes
internal import CkptStateDicts

/// Evaluates expressions of sizes: names, arithmetic, and the shapes of a state dict's tensors.
struct SizeScope {
  /// The known sizes by name.
  var values: [String: SizeValue]
  let shapes: StateShapes

  /// The tensor that determines a size is missing.
  struct MissingTensor: Error {
    let key: String
    let problem: String
  }

  private static let limit = 1 << 40

  /// The value of an expression.
  ///
  /// - Parameter allowsWords: whether an unknown name is an unquoted string.
  /// - Throws: `ExpressionError`, `MissingTensor`.
  func value(_ expression: Expression, allowsWords: Bool = false) throws -> SizeValue {
    switch expression {
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .name(let name): return try named(name, allowsWords: allowsWords)
    case .list(let items):
      return .list(try items.map { try value($0, allowsWords: allowsWords) })
    case .unary(.minus, let operand):
      switch try value(operand) {
      case .integer(let value): return .integer(-value)
      case .number(let value): return .number(-value)
      default: throw error("\"-\" takes a number")
      }
    case .unary(.not, let operand): return .flag(!(try value(operand).isTrue))
    case .condition(let test, let first, let second):
      return try value(try value(test).isTrue ? first : second, allowsWords: allowsWords)
    case .binary(.or, let left, let right): return try either(left, right)
    case .binary(.and, let left, let right):
      let first = try value(left)
      return first.isTrue ? try value(right) : first
    case .binary(let symbol, let left, let right):
      return try Self.combined(symbol, value(left), value(right))
    case .index(let head, let parts): return try indexed(head, parts)
    case .call(let callee, let arguments): return try called(callee, arguments)
    case .member(let head, let name):
      throw error(
        "\"\(head.path?.joined(separator: ".") ?? "…").\(name)\" is no size; a tensor's has an index, as in fc.weight[0]"
      )
    }
  }

  private func error(_ problem: String) -> ExpressionError {
    ExpressionError(problem: problem, offset: 0)
  }

  private func named(_ name: String, allowsWords: Bool) throws -> SizeValue {
    if let known = values[name] { return known }
    switch name {
    case "True", "true": return .flag(true)
    case "False", "false": return .flag(false)
    case "None", "null": return .none
    default: break
    }
    if allowsWords { return .word(name) }
    let nearest = NearestKeys.nearest(to: name, in: values.keys.sorted())
    throw error(
      "no size is called \(name)"
        + (nearest.isEmpty ? "" : "; is \(nearest.joined(separator: " or ")) meant?"))
  }

  /// The value of `first or second`, such as `fc.weight[0] or 1000`; the second also if a tensor is
  /// missing.
  private func either(_ left: Expression, _ right: Expression) throws -> SizeValue {
    do {
      let first = try value(left)
      return first.isTrue ? first : try value(right)
    } catch is MissingTensor {
      return try value(right)
    }
  }

  private func indexed(_ head: Expression, _ parts: [Expression.Subscript]) throws -> SizeValue {
    guard parts.count == 1, case .at(let expression) = parts[0] else {
      throw error("a size has one index")
    }
    guard case .integer(let index) = try value(expression) else {
      throw error("an index is an integer")
    }
    let items: [SizeValue]
    if let path = head.path, path.count > 1 {
      let key = path.joined(separator: ".")
      guard let shape = shapes[key] else {
        throw MissingTensor(key: key, problem: "there is no such tensor")
      }
      guard shape.indices.contains(index < 0 ? index + shape.count : index) else {
        throw MissingTensor(key: key, problem: "the shape \(shape) has no dimension \(index)")
      }
      items = shape.map(SizeValue.integer)
    } else {
      guard case .list(let list) = try value(head) else {
        throw error("only lists and tensors have an index")
      }
      items = list
    }
    let number = index < 0 ? index + items.count : index
    guard items.indices.contains(number) else {
      throw error("no item \(index) of \(items.count)")
    }
    return items[number]
  }

  private func called(_ callee: Expression, _ arguments: [Expression.Argument]) throws -> SizeValue
  {
    let known = ["count", "has", "max", "min", "sqrt"]
    guard case .name(let name) = callee, known.contains(name) else {
      throw error(
        "no function of sizes is called \(callee.path?.joined(separator: ".") ?? "so"); there are: "
          + known.joined(separator: ", "))
    }
    guard arguments.allSatisfy({ $0.name == nil }), let first = arguments.first?.value else {
      throw error("\(name) takes values without names")
    }
    switch name {
    case "count", "has":
      guard arguments.count == 1, let path = first.path?.joined(separator: ".") else {
        throw error("\(name) takes a key, as in \(name)(encoder.layers)")
      }
      if name == "has" { return .flag(shapes[path] != nil) }
      let count = shapes.count(behind: path + ".")
      guard count > 0 else {
        throw MissingTensor(key: path, problem: "no numbered modules are there")
      }
      return .integer(count)
    case "sqrt":
      guard arguments.count == 1, case .integer(let square) = try value(first), square >= 0 else {
        throw error("sqrt takes an integer")
      }
      let root = Int(saturating: Double(square).squareRoot())
      guard root * root == square else { throw error("\(square) is no square") }
      return .integer(root)
    default:
      let values = try arguments.map { argument in
        guard case .integer(let value) = try value(argument.value) else {
          throw error("\(name) takes integers")
        }
        return value
      }
      return .integer((name == "max" ? values.max() : values.min()) ?? 0)
    }
  }

  static func combined(
    _ symbol: Expression.BinaryOperator, _ left: SizeValue, _ right: SizeValue
  ) throws -> SizeValue {
    func error(_ problem: String) -> ExpressionError {
      ExpressionError(problem: problem, offset: 0)
    }
    switch symbol {
    case .equal: return .flag(left == right)
    case .notEqual: return .flag(left != right)
    default: break
    }
    guard let first = left.asNumber, let second = right.asNumber else {
      throw error("\"\(symbol.rawValue)\" takes numbers, not \(left.text) and \(right.text)")
    }
    switch symbol {
    case .less: return .flag(first < second)
    case .greater: return .flag(first > second)
    case .lessOrEqual: return .flag(first <= second)
    case .greaterOrEqual: return .flag(first >= second)
    default: break
    }
    if case .integer(let one) = left, case .integer(let other) = right, symbol != .divide {
      return .integer(try combined(symbol, one, other))
    }
    let result: Double
    switch symbol {
    case .plus: result = first + second
    case .minus: result = first - second
    case .times: result = first * second
    case .divide: result = first / second
    default: throw error("\"\(symbol.rawValue)\" takes integers")
    }
    guard result.isFinite else {
      throw error("\(left.text) \(symbol.rawValue) \(right.text) is no number")
    }
    return .number(result)
  }

  /// Integer arithmetic with Python's rules and results of at most 2⁴⁰.
  private static func combined(
    _ symbol: Expression.BinaryOperator, _ left: Int, _ right: Int
  ) throws -> Int {
    var result = (partialValue: 0, overflow: false)
    switch symbol {
    case .plus: result = left.addingReportingOverflow(right)
    case .minus: result = left.subtractingReportingOverflow(right)
    case .times: result = left.multipliedReportingOverflow(by: right)
    case .floorDivide, .remainder:
      guard right > 0 else {
        throw ExpressionError(problem: "division by \(right)", offset: 0)
      }
      let rest = (left % right + right) % right
      result.partialValue = symbol == .remainder ? rest : (left - rest) / right
    default:
      throw ExpressionError(problem: "\"\(symbol.rawValue)\" takes no sizes", offset: 0)
    }
    guard !result.overflow, result.partialValue.magnitude <= limit else {
      throw ExpressionError(
        problem: "\(left) \(symbol.rawValue) \(right) is too large", offset: 0)
    }
    return result.partialValue
  }
}
