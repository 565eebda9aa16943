internal import TrainingCore

/// Runs the steps of the forward pass of a described module.
struct ForwardPass {
  /// A value of a step.
  enum Value {
    case variable(Variable)
    case size(SizeValue)
    case list([Value])
  }

  let module: DescribedModule
  private var values: [String: Value] = [:]
  private var last: Value?

  init(module: DescribedModule, inputs: some Sequence<(String, Variable)>) {
    self.module = module
    for (name, value) in inputs { values[name] = .variable(value) }
  }

  /// The result of the last step.
  func result() throws -> Variable {
    guard case .variable(let result) = last else {
      throw LayerError("the forward pass gives no tensor")
    }
    return result
  }

  mutating func run(_ step: DescribedModule.Step) throws {
    let value = try value(step.value)
    last = value
    guard step.targets.count > 1 else {
      if let name = step.targets.first { values[name] = value }
      return
    }
    guard case .list(let items) = value, items.count == step.targets.count else {
      throw LayerError("\(step.targets.count) names for something else")
    }
    for (name, item) in zip(step.targets, items) { values[name] = item }
  }

  // MARK: - Values

  private func value(_ expression: Expression) throws -> Value {
    switch expression {
    case .integer(let number): return .size(.integer(number))
    case .number(let number): return .size(.number(number))
    case .name(let name): return try named(name)
    case .list(let items): return .list(try items.map { try value($0) })
    case .unary(.minus, let operand):
      switch try value(operand) {
      case .variable(let variable):
        try module.account.take(variable.shape)
        return .variable(try -variable)
      case .size(.integer(let number)): return .size(.integer(-number))
      case .size(.number(let number)): return .size(.number(-number))
      default: throw LayerError("\"-\" takes a tensor or a number")
      }
    case .unary(.not, let operand): return .size(.flag(!(try size(operand).isTrue)))
    case .condition(let test, let first, let second):
      return try value(try size(test).isTrue ? first : second)
    case .binary(let symbol, let left, let right):
      return try combined(symbol, value(left), value(right))
    case .member(let head, let name):
      if let found = try parameter(expression) { return .variable(found) }
      guard name == "shape", case .variable(let variable) = try value(head) else {
        throw LayerError("a value has no \(name)")
      }
      return .list(variable.shape.map { .size(.integer($0)) })
    case .index(let head, let parts):
      if let found = try parameter(expression) { return .variable(found) }
      return try indexed(value(head), parts)
    case .call(let callee, let arguments): return try called(callee, arguments)
    }
  }

  private func named(_ name: String) throws -> Value {
    if let known = values[name] { return known }
    if let size = module.sizes[name] { return Self.value(of: size) }
    if let found = try parameter(.name(name)) { return .variable(found) }
    switch name {
    case "True", "true": return .size(.flag(true))
    case "False", "false": return .size(.flag(false))
    case "None", "null": return .size(.none)
    default: return .size(.word(name))
    }
  }

  private static func value(of size: SizeValue) -> Value {
    guard case .list(let items) = size else { return .size(size) }
    return .list(items.map { value(of: $0) })
  }

  /// The parameter or buffer at a path; nil for other expressions.
  private func parameter(_ expression: Expression) throws -> Variable? {
    guard let path = expression.path, values[path[0]] == nil else { return nil }
    switch module.part(at: path)?.part {
    case .parameter(let parameter): return parameter
    case .buffer(let buffer): return buffer
    default: return nil
    }
  }

  private func size(_ expression: Expression) throws -> SizeValue {
    try Self.size(of: value(expression))
  }

  static func size(of value: Value) throws -> SizeValue {
    switch value {
    case .size(let size): return size
    case .list(let items): return .list(try items.map { try size(of: $0) })
    case .variable: throw LayerError("a size should stand where a tensor stands")
    }
  }

  private func variable(_ expression: Expression) throws -> Variable {
    guard case .variable(let variable) = try value(expression) else {
      throw LayerError("a tensor should stand where something else stands")
    }
    return variable
  }

  // MARK: - Arithmetic

  private func combined(
    _ symbol: Expression.BinaryOperator, _ left: Value, _ right: Value
  ) throws -> Value {
    switch (left, right) {
    case (.variable(let one), .variable(let other)):
      if symbol == .matrixProduct { return .variable(try product(one, other)) }
      try module.account.take(RunAccount.broadcast(one.shape, other.shape))
      switch symbol {
      case .plus: return .variable(try one + other)
      case .minus: return .variable(try one - other)
      case .times: return .variable(try one * other)
      case .divide: return .variable(try one / other)
      default: break
      }
    case (.variable(let variable), .size(let size)):
      guard let number = size.asNumber else { break }
      try module.account.take(variable.shape)
      switch symbol {
      case .plus: return .variable(try variable + number)
      case .minus: return .variable(try variable - number)
      case .times: return .variable(try variable * number)
      case .divide: return .variable(try variable / number)
      default: break
      }
    case (.size(let size), .variable(let variable)):
      guard let number = size.asNumber else { break }
      try module.account.take(variable.shape)
      switch symbol {
      case .plus: return .variable(try variable + number)
      case .minus: return .variable(try number - variable)
      case .times: return .variable(try number * variable)
      default: break
      }
    default:
      return .size(try SizeScope.combined(symbol, Self.size(of: left), Self.size(of: right)))
    }
    throw LayerError("\"\(symbol.rawValue)\" does not work on these values")
  }

  /// A matrix product, which is counted before it is computed.
  func product(_ left: Variable, _ right: Variable) throws -> Variable {
    if left.rank >= 2, right.rank >= 2 {
      let batch = try RunAccount.broadcast(
        Array(left.shape.dropLast(2)), Array(right.shape.dropLast(2)))
      try module.account.take(
        batch + [left.shape[left.rank - 2], right.shape[right.rank - 1]])
    } else {
      try module.account.take(left.shape.count > right.shape.count ? left.shape : right.shape)
    }
    return try left.matmul(right)
  }

  private func indexed(_ head: Value, _ parts: [Expression.Subscript]) throws -> Value {
    switch head {
    case .list(let items):
      guard parts.count == 1, case .at(let expression) = parts[0],
        case .integer(let index) = try size(expression)
      else { throw LayerError("a list has one index") }
      let number = index < 0 ? index + items.count : index
      guard items.indices.contains(number) else {
        throw LayerError("no item \(index) of \(items.count)")
      }
      return items[number]
    case .variable(var variable):
      // The dimension that the next part of the subscript applies to.
      var dimension = 0
      for part in parts {
        switch part {
        case .at(let expression):
          switch try size(expression) {
          case .integer(let index):
            variable = try variable.selected(index, dimension: dimension)
          case .none:
            variable = try variable.unsqueezed(dimension)
            dimension += 1
          default: throw LayerError("an index is an integer")
          }
        case .slice(let first, let second):
          guard dimension < variable.rank else {
            throw LayerError("the shape \(variable.shape) has no dimension \(dimension)")
          }
          let count = variable.shape[dimension]
          func bound(_ expression: Expression?, or standard: Int) throws -> Int {
            guard let expression else { return standard }
            guard case .integer(let index) = try size(expression) else {
              throw LayerError("a slice's bounds are integers")
            }
            return min(max(index < 0 ? index + count : index, 0), count)
          }
          let start = try bound(first, or: 0)
          variable = try variable.sliced(
            start..<max(try bound(second, or: count), start), dimension: dimension)
          dimension += 1
        }
      }
      return .variable(variable)
    case .size: throw LayerError("a number has no index")
    }
  }

  // MARK: - Calls

  private func called(
    _ callee: Expression, _ arguments: [Expression.Argument]
  ) throws -> Value {
    if let path = callee.path, values[path[0]] == nil,
      let (owner, key, part) = module.part(at: path)
    {
      switch part {
      case .layer, .module:
        var isCausal = false
        var inputs: [Variable] = []
        for argument in arguments {
          if argument.name == "is_causal" {
            isCausal = try size(argument.value).isTrue
          } else if argument.name == nil {
            inputs.append(try variable(argument.value))
          } else {
            throw LayerError("modules take values without names")
          }
        }
        return .variable(try owner.call(key, inputs, isCausal: isCausal))
      case .parameter, .buffer: break
      }
    }
    switch callee {
    case .name("sequential"):
      guard arguments.count == 1 else { throw LayerError("sequential takes one tensor") }
      return .variable(try module.runInOrder(variable(arguments[0].value)))
    case .name("iterate"):
      guard arguments.count == 3, let path = arguments[0].value.path,
        let (owner, key, _) = module.part(at: path),
        case .integer(let count) = try size(arguments[2].value), (0...100_000).contains(count)
      else { throw LayerError("iterate takes a module, a tensor and how often") }
      var result = try variable(arguments[1].value)
      for _ in 0..<count {
        // Modules without operations are counted, too, because they cost time.
        try module.account.take([])
        result = try owner.call(key, [result])
      }
      return .variable(result)
    case .name(let name):
      return try ForwardFunctions.call(
        name, try arguments.map { ($0.name, try value($0.value)) }, in: self)
    case .member(let head, let name):
      let first: (String?, Value) = (nil, try value(head))
      return try ForwardFunctions.call(
        name, [first] + (try arguments.map { ($0.name, try value($0.value)) }), in: self)
    default: throw LayerError("this cannot be called")
    }
  }
}
