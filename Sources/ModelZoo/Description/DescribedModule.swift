internal import TrainingCore

/// A module defined by a description: named parts that are applied in order, or by the steps of its
/// forward pass.
final class DescribedModule: Module {
  /// A part of a module.
  enum Part {
    case layer(DescribedLayer)
    case module(DescribedModule)
    case parameter(Parameter)
    case buffer(Buffer)
  }

  /// A step of a forward pass.
  struct Step {
    /// The names for the result; several names unpack a list.
    let targets: [String]
    let value: Expression
    let line: Int
  }

  /// The location of a module in its description, and its key.
  struct Origin {
    let file: String
    let line: Int
    let path: String
  }

  let parts: [(key: String, line: Int, part: Part)]
  /// The names of the inputs in the forward pass.
  let inputs: [String]
  /// The steps of the forward pass; nil if the parts are applied one after another.
  let steps: [Step]?
  /// The sizes that the steps may use, by name.
  let sizes: [String: SizeValue]
  let origin: Origin
  let account: RunAccount
  /// The required size of the last dimension of the outputs; nil except for the model itself.
  var classes: Int?
  private let indices: [String: Int]

  init(
    _ parts: [(key: String, line: Int, part: Part)], inputs: [String] = ["x"], steps: [Step]?,
    sizes: [String: SizeValue], origin: Origin, account: RunAccount
  ) {
    self.parts = parts
    self.inputs = inputs
    self.steps = steps
    self.sizes = sizes
    self.origin = origin
    self.account = account
    indices = Dictionary(
      parts.enumerated().map { ($1.key, $0) }, uniquingKeysWith: { first, _ in first })
  }

  override var members: [(key: String, member: Member)] {
    parts.map { key, _, part in
      switch part {
      case .layer(let layer): (key, .module(layer.module))
      case .module(let module): (key, .module(module))
      case .parameter(let parameter): (key, .parameter(parameter))
      case .buffer(let buffer): (key, .buffer(buffer))
      }
    }
  }

  /// The part with a key; nil if there is none.
  func part(_ key: String) -> (key: String, line: Int, part: Part)? {
    indices[key].map { parts[$0] }
  }

  /// The part at a path of keys, with the module that it belongs to: a part of this module, of one
  /// inside, or a layer's parameter.
  func part(at path: [String]) -> (owner: DescribedModule, key: String, part: Part)? {
    var module = self
    for (depth, key) in path.enumerated() {
      guard let (_, _, found) = module.part(key) else { return nil }
      if depth == path.count - 1 { return (module, key, found) }
      switch found {
      case .module(let inner): module = inner
      case .layer(let layer):
        guard depth == path.count - 2 else { return nil }
        for case (path[depth + 1], .parameter(let parameter)) in layer.module.members {
          return (module, path[depth + 1], .parameter(parameter))
        }
        return nil
      default: return nil
      }
    }
    return nil
  }

  override func forward(_ input: Variable) throws -> Variable { try run([input]) }

  /// Computes the module's output for its inputs.
  func run(_ values: [Variable]) throws -> Variable {
    account.begin()
    defer { account.end() }
    do {
      try account.take([])
      guard values.count == inputs.count else {
        throw LayerError("it takes \(inputs.count) inputs, not \(values.count)")
      }
      let result = try runSteps(values)
      if let classes, result.shape.last != classes {
        throw LayerError("it gives the shape \(result.shape), but there are \(classes) classes")
      }
      return result
    } catch { throw failure(origin.line, nil, error) }
  }

  private func runSteps(_ values: [Variable]) throws -> Variable {
    guard let steps else { return try runInOrder(values[0]) }
    var run = ForwardPass(module: self, inputs: zip(inputs, values))
    for step in steps {
      do {
        try account.take([])
        try run.run(step)
      } catch { throw failure(step.line, nil, error) }
    }
    do {
      return try run.result()
    } catch { throw failure(steps.last?.line ?? origin.line, nil, error) }
  }

  /// Applies the parts one after another.
  func runInOrder(_ input: Variable) throws -> Variable {
    var value = input
    var index = 0
    while index < parts.count {
      // A rectifier that follows a batch norm is computed with it.
      if case .layer(let layer) = parts[index].part, let norm = layer.module as? BatchNorm,
        index + 1 < parts.count, case .layer(let next) = parts[index + 1].part, next.module is ReLU
      {
        do {
          try account.take(layer.outputShape(value.shape))
          value = try norm.normalized(value, relu: true)
        } catch { throw failure(parts[index].line, parts[index].key, error) }
        index += 2
        continue
      }
      switch parts[index].part {
      case .layer, .module: value = try call(parts[index].key, [value])
      case .parameter, .buffer: break
      }
      index += 1
    }
    return value
  }

  /// Computes the output of a part for its inputs.
  func call(_ key: String, _ values: [Variable], isCausal: Bool = false) throws -> Variable {
    guard let (_, line, part) = part(key) else {
      throw failure(origin.line, key, LayerError("there is no such part"))
    }
    switch part {
    case .module(let module):
      return values.count == 1 ? try module(values[0]) : try module.run(values)
    case .layer(let layer):
      do {
        if let attention = layer.module as? MultiheadAttention {
          return try attend(attention, layer, values, isCausal: isCausal)
        }
        guard values.count == 1, !isCausal else {
          throw LayerError("it takes one input, not \(values.count)")
        }
        let shape = try layer.outputShape(values[0].shape)
        if let block = layer.module as? TransformerEncoderLayer {
          try account.take([shape[0], block.selfAttn.numHeads, shape[1], shape[1]])
          try account.take(shape.dropLast() + [block.linear1.weight.shape[0]])
        }
        try account.take(shape)
        return try layer.module(values[0])
      } catch { throw failure(line, key, error) }
    case .parameter, .buffer:
      throw failure(line, key, LayerError("a parameter takes no inputs"))
    }
  }

  /// Computes attention for one input, or for queries, keys and values.
  private func attend(
    _ attention: MultiheadAttention, _ layer: DescribedLayer, _ values: [Variable], isCausal: Bool
  ) throws -> Variable {
    guard values.count == 1 || values.count == 3 else {
      throw LayerError("it takes one input, or queries, keys and values")
    }
    let (query, key, value) = (values[0], values.count == 3 ? values[1] : values[0], values.last)
    guard let value else { throw LayerError("it takes an input") }
    for each in [query, key, value] { try account.take(layer.outputShape(each.shape)) }
    guard key.shape == value.shape, key.shape[0] == query.shape[0] else {
      throw LayerError("the shapes of queries, keys and values do not fit each other")
    }
    try account.take([query.shape[0], attention.numHeads, query.shape[1], key.shape[1]])
    return try attention.forward(query: query, key: key, value: value, isCausal: isCausal)
  }

  /// The error with its location.
  private func failure(_ line: Int, _ key: String?, _ error: any Error) -> any Error {
    let location = DescriptionError.Location(file: origin.file, line: line)
    let module = [origin.path, key ?? ""].filter { !$0.isEmpty }.joined(separator: ".")
    switch error {
    case let error as LayerError:
      return DescriptionError.cannotRun(location, module: module, problem: error.problem)
    case let error as ExpressionError:
      return DescriptionError.cannotRun(location, module: module, problem: error.problem)
    case TrainingError.noBLAS, TrainingError.outOfMemory: return error
    case let error as TrainingError:
      return DescriptionError.cannotRun(location, module: module, problem: error.description)
    default: return error
    }
  }
}
