internal import CkptText
internal import CkptStateDicts
internal import TrainingCore

/// Builds modules from a description, given its sizes.
struct ModelBuilder {
  let parser: DescriptionParser
  let blocks: [String: BlockNode]
  /// The sizes that all parts may use.
  let sizes: SizeScope
  let random: RandomSource
  let allowance = Allowance()
  let account = RunAccount()
  private let kinds = LayerKind.all()

  /// The largest depth of nested modules, including blocks that use blocks.
  static let deepest = 24

  init(
    _ parser: DescriptionParser, blocks: [String: BlockNode], sizes: SizeScope,
    from random: RandomSource
  ) {
    self.parser = parser
    self.blocks = blocks
    self.sizes = sizes
    self.random = random
  }

  /// Builds the model.
  func model(_ node: ModuleNode) throws -> DescribedModule {
    switch try part(node, path: "", values: sizes.values, depth: 0) {
    case .module(let module): return module
    case .layer(let layer):
      // A model of one layer has the layer's keys.
      throw parser.bad(
        "a model has named parts; \(type(of: layer.module)) alone has none", node.line)
    case .parameter, .buffer:
      throw parser.bad("a model is more than a parameter", node.line)
    }
  }

  /// Runs `body` and adds file and line to its errors.
  private func located<T>(_ line: Int, _ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as ExpressionError {
      throw parser.bad(error.problem, line)
    } catch let error as LayerError {
      throw parser.bad(error.problem, line)
    } catch let error as SizeScope.MissingTensor {
      throw ZooError.cannotInfer(
        model: parser.file, key: error.key, problem: error.problem + " (line \(line))")
    } catch let error as TrainingError {
      if case .outOfMemory = error { throw error }
      throw parser.bad(error.description, line)
    }
  }

  private func scope(_ values: [String: SizeValue]) -> SizeScope {
    SizeScope(values: values, shapes: sizes.shapes)
  }

  private func part(
    _ node: ModuleNode, path: String, values: [String: SizeValue], depth: Int
  ) throws -> DescribedModule.Part {
    guard depth <= Self.deepest else {
      throw DescriptionError.tooLarge(
        parser.location(node.line),
        problem: "modules lie in one another more than \(Self.deepest) deep")
    }
    do {
      try allowance.takeModule()
    } catch let error as LayerError {
      throw DescriptionError.tooLarge(parser.location(node.line), problem: error.problem)
    }
    switch node.content {
    case .call(let name, let arguments):
      return try called(name, arguments, node, path: path, values: values, depth: depth)
    case .members(let members, let forward):
      let parts = try members.map { member in
        let inner = path.isEmpty ? member.key : path + "." + member.key
        return (
          member.key, member.line,
          try part(member.node, path: inner, values: values, depth: depth + 1)
        )
      }
      return .module(
        try module(parts, forward, node, path: path, values: values))
    case .repetition(let repetition):
      return .module(
        try repeated(repetition, node, path: path, values: values, depth: depth))
    }
  }

  private func module(
    _ parts: [(key: String, line: Int, part: DescribedModule.Part)],
    _ forward: ModuleNode.Forward?, _ node: ModuleNode, path: String, values: [String: SizeValue]
  ) throws -> DescribedModule {
    let module = DescribedModule(
      parts, inputs: forward?.inputs ?? ["x"], steps: forward?.steps, sizes: values,
      origin: .init(file: parser.file, line: node.line, path: path), account: account)
    do {
      try allowance.takeSteps(module.steps?.count ?? 0)
    } catch let error as LayerError {
      throw DescriptionError.tooLarge(parser.location(node.line), problem: error.problem)
    }
    var names = Set(module.inputs)
    for step in module.steps ?? [] {
      try located(step.line) {
        try StepChecker(module: module, names: names).check(step.value)
      }
      names.formUnion(step.targets)
    }
    return module
  }

  private func repeated(
    _ repetition: ModuleNode.Repetition, _ node: ModuleNode, path: String,
    values: [String: SizeValue], depth: Int
  ) throws -> DescribedModule {
    let count = try located(node.line) {
      guard case .integer(let count) = try scope(values).value(repetition.count),
        (0...Allowance.most.modules).contains(count)
      else {
        throw LayerError("\"repeat\" takes a number from 0 to \(Allowance.most.modules)")
      }
      return count
    }
    var parts: [(key: String, line: Int, part: DescribedModule.Part)] = []
    var keys = Set<String>()
    for number in 0..<count {
      var values = values
      values[repetition.variable] = .integer(number)
      let key = try located(node.line) {
        try repetition.name.map { part in
          switch part {
          case .text(let text): text
          case .value(let expression): try scope(values).value(expression).text
          }
        }.joined()
      }
      guard parser.isName(key) else {
        throw parser.bad("\"\(key)\" is no name of a module", node.line)
      }
      guard keys.insert(key).inserted else {
        throw parser.bad("the name \(key) comes twice", node.line)
      }
      let inner = path.isEmpty ? key : path + "." + key
      parts.append(
        (
          key, repetition.each.line,
          try part(repetition.each, path: inner, values: values, depth: depth + 1)
        ))
    }
    return try module(parts, nil, node, path: path, values: values)
  }

  private func called(
    _ name: String, _ arguments: [Expression.Argument], _ node: ModuleNode, path: String,
    values: [String: SizeValue], depth: Int
  ) throws -> DescribedModule.Part {
    let given = try located(node.line) {
      try arguments.map { argument in
        (
          name: argument.name,
          value: try scope(values).value(argument.value, allowsWords: argument.name != nil)
        )
      }
    }
    if let block = blocks[name] {
      let parameters = block.parameters.map(\.name)
      let bound = try located(node.line) {
        let required = block.parameters.filter { $0.standard == nil }.map(\.name)
        let bound = try LayerArguments(name, parameters, required: 0, given)
        for parameter in required where bound[parameter] == nil {
          throw LayerError("\(name) needs its argument \(parameter)")
        }
        return bound
      }
      // A block has access to the sizes of the model and its own arguments, not to those of its
      // caller.
      var inner = sizes.values
      for (parameter, standard) in block.parameters {
        if let value = bound[parameter] {
          inner[parameter] = value
        } else if let standard {
          inner[parameter] = try located(node.line) { try scope(inner).value(standard) }
        }
      }
      return try part(block.body, path: path, values: inner, depth: depth + 1)
    }
    return try located(node.line) {
      if name == "Parameter" || name == "Buffer" { return try tensor(name, given) }
      guard let kind = kinds[name] else {
        let known = kinds.keys.sorted() + blocks.keys.sorted() + ["Parameter", "Buffer"]
        let nearest = NearestKeys.nearest(to: name, in: known)
        throw LayerError(
          "no layer or block is called \(name)"
            + (nearest.isEmpty ? "" : "; is \(nearest.joined(separator: " or ")) meant?"))
      }
      return .layer(
        try kind.make(
          LayerArguments(name, kind.parameters, required: kind.required, given), allowance, random))
    }
  }

  /// Parses `Parameter(1, 1, width)`, or a buffer, optionally with a `dtype`.
  private func tensor(_ name: String, _ given: [(name: String?, value: SizeValue)]) throws
    -> DescribedModule.Part
  {
    var shape: [Int] = []
    var isInteger = false
    for (argument, value) in given {
      if argument == "dtype", name == "Buffer" {
        guard value == .word("int64") || value == .word("float32") else {
          throw LayerError("a buffer's dtype is float32 or int64")
        }
        isInteger = value == .word("int64")
        continue
      }
      let items: [SizeValue]
      if case .list(let list) = value { items = list } else { items = [value] }
      for item in items {
        guard argument == nil, case .integer(let size) = item,
          LayerArguments.sizes.contains(size), shape.count < 8
        else { throw LayerError("\(name) takes up to eight sizes, as in \(name)(1, 1, 768)") }
        shape.append(size)
      }
    }
    if name == "Buffer" {
      try allowance.takeBuffer(shape)
      return .buffer(try Buffer(shape, 0, isInteger ? .int64 : .float32))
    }
    try allowance.take(shape)
    return .parameter(
      try Parameter(shape, .normal(mean: 0, standardDeviation: 0.02), from: random))
  }
}
