internal import CkptText
internal import CkptStateDicts

/// Checks that all names in a step of a forward pass are known, before anything is run.
struct StepChecker {
  let module: DescribedModule
  /// The names of inputs and of results of earlier steps.
  let names: Set<String>

  func check(_ expression: Expression) throws {
    switch expression {
    case .integer, .number: break
    case .name(let name):
      guard isValue(name) || isTensor([name]) else { throw unknown(name, "value", values) }
    case .member(let head, let name):
      if let path = expression.path, !names.contains(path[0]) {
        guard isTensor(path) else {
          throw unknown(path.joined(separator: "."), "parameter", module.parts.map(\.key))
        }
        return
      }
      guard name == "shape" else { throw LayerError("a value has no \(name); it has a shape") }
      try check(head)
    case .index(let head, let parts):
      if let path = expression.path, !names.contains(path[0]), isTensor(path) { return }
      try check(head)
      for part in parts {
        switch part {
        case .at(let index): try check(index)
        case .slice(let first, let second):
          if let first { try check(first) }
          if let second { try check(second) }
        }
      }
    case .list(let items): for item in items { try check(item) }
    case .unary(_, let operand): try check(operand)
    case .binary(_, let left, let right):
      try check(left)
      try check(right)
    case .condition(let test, let first, let second):
      for each in [test, first, second] { try check(each) }
    case .call(let callee, let arguments): try check(callee, arguments)
    }
  }

  private var values: [String] { names.sorted() + module.sizes.keys.sorted() }

  private func isValue(_ name: String) -> Bool {
    names.contains(name) || module.sizes[name] != nil
      || ["True", "False", "None", "true", "false", "null"].contains(name)
  }

  private func isTensor(_ path: [String]) -> Bool {
    switch module.part(at: path)?.part {
    case .parameter, .buffer: true
    default: false
    }
  }

  private func isModule(_ path: [String]) -> Bool {
    switch module.part(at: path)?.part {
    case .layer, .module: true
    default: false
    }
  }

  private func unknown(_ name: String, _ kind: String, _ known: [String]) -> LayerError {
    let nearest = NearestKeys.nearest(to: name, in: Set(known).sorted())
    return LayerError(
      "no \(kind) is called \(name)"
        + (nearest.isEmpty ? "" : "; is \(nearest.joined(separator: " or ")) meant?"))
  }

  private func check(_ callee: Expression, _ arguments: [Expression.Argument]) throws {
    var arguments = arguments
    // A part may have the same name as a size. Only values of the pass hide parts.
    if let path = callee.path, !names.contains(path[0]), !isTensor(Array(path.prefix(1))) {
      let name = path.joined(separator: ".")
      if isModule(path) {
        for argument in arguments where argument.name != nil && argument.name != "is_causal" {
          throw LayerError("\(name) takes values without names")
        }
      } else if path.count == 1, ForwardFunctions.names.contains(name) {
        if name == "iterate" {
          guard let inner = arguments.first?.value.path, isModule(inner) else {
            throw LayerError("iterate takes a module first, as in iterate(layer, x, 12)")
          }
          arguments.removeFirst()
        }
      } else if path.count > 1, isTensor(Array(path.dropLast())),
        ForwardFunctions.parameters[path[path.count - 1]] != nil
      {
        // A function that is called as a method of a parameter.
      } else {
        throw unknown(
          name, "part or function", module.parts.map(\.key) + ForwardFunctions.names)
      }
    } else if case .member(let head, let name) = callee {
      guard ForwardFunctions.layers[name] != nil || ForwardFunctions.parameters[name] != nil else {
        throw unknown(name, "function", ForwardFunctions.names)
      }
      try check(head)
    } else {
      throw LayerError("only parts and functions are called")
    }
    for argument in arguments {
      // An unquoted string such as tanh.
      if argument.name != nil, case .name = argument.value { continue }
      try check(argument.value)
    }
  }
}
