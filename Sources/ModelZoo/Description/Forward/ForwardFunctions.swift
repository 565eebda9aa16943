internal import Foundation
internal import CkptStateDicts
internal import TrainingCore

/// The functions that forward passes may call, with PyTorch's names and arguments. They may also be
/// called as methods of a tensor: `x.flatten(1)` is `flatten(x, 1)`.
enum ForwardFunctions {
  /// Functions that correspond to layers without weights; the tensor is followed by the layer's
  /// arguments.
  static let layers = [
    "relu": "ReLU", "relu6": "ReLU6", "gelu": "GELU", "silu": "SiLU", "sigmoid": "Sigmoid",
    "tanh": "Tanh", "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "softmax": "Softmax",
    "leaky_relu": "LeakyReLU", "avg_pool1d": "AvgPool1d",
    "max_pool1d": "MaxPool1d", "max_pool2d": "MaxPool2d", "avg_pool2d": "AvgPool2d",
    "adaptive_avg_pool1d": "AdaptiveAvgPool1d", "adaptive_avg_pool2d": "AdaptiveAvgPool2d",
  ]

  /// The parameters of the other functions; the first is the tensor or tensors. A parameter with a
  /// star takes all further values.
  static let parameters: [String: [String]] = [
    "exp": ["input"], "log": ["input"], "sqrt": ["input"], "abs": ["input"],
    "flatten": ["input", "start_dim", "end_dim"], "transpose": ["input", "dim0", "dim1"],
    "permute": ["input", "*dims"], "reshape": ["input", "*shape"], "view": ["input", "*shape"],
    "expand": ["input", "*sizes"], "unsqueeze": ["input", "dim"], "squeeze": ["input", "dim"],
    "cat": ["tensors", "dim"], "stack": ["tensors", "dim"], "chunk": ["input", "chunks", "dim"],
    "mean": ["input", "dim", "keepdim"], "sum": ["input", "dim", "keepdim"],
    "log_softmax": ["input", "dim"], "matmul": ["input", "other"], "arange": ["end"],
    "attention": ["query", "key", "value", "heads", "is_causal"],
    "scaled_dot_product_attention": ["query", "key", "value", "is_causal", "scale"],
    "size": ["input", "dim"],
  ]

  /// Functions of modules.
  static let ofModules = ["iterate", "sequential"]

  static let names = layers.keys.sorted() + parameters.keys.sorted() + ofModules

  private static let kinds = LayerKind.all()

  static func call(
    _ name: String, _ arguments: [(name: String?, value: ForwardPass.Value)], in pass: ForwardPass
  ) throws -> ForwardPass.Value {
    if let kind = layers[name].flatMap({ kinds[$0] }) {
      guard case .variable(let input)? = arguments.first?.value, arguments.first?.name == nil else {
        throw LayerError("\(name) takes a tensor first")
      }
      let rest = try arguments.dropFirst().map { ($0.name, try ForwardPass.size(of: $0.value)) }
      let layer = try kind.make(
        LayerArguments(name, kind.parameters, required: kind.required, rest), Allowance(),
        RandomSource.shared)
      try pass.module.account.take(layer.outputShape(input.shape))
      return .variable(try layer.module(input))
    }
    let bound = try Bound(name, arguments)
    return try result(of: name, bound, pass.module.account, pass)
  }

  /// The arguments of a call, bound to parameters.
  private struct Bound {
    let function: String
    private var values: [String: ForwardPass.Value] = [:]

    init(_ function: String, _ arguments: [(name: String?, value: ForwardPass.Value)]) throws {
      self.function = function
      guard let parameters = ForwardFunctions.parameters[function] else {
        throw LayerError("no function is called \(function)")
      }
      var rest: [ForwardPass.Value] = []
      for (index, argument) in arguments.enumerated() {
        if let last = parameters.last, last.hasPrefix("*"), index >= parameters.count - 1,
          argument.name == nil
        {
          rest.append(argument.value)
          continue
        }
        let plain = parameters.map { $0.hasPrefix("*") ? String($0.dropFirst()) : $0 }
        guard let name = argument.name ?? (index < plain.count ? plain[index] : nil),
          plain.contains(name)
        else {
          throw LayerError("\(function) takes \(plain.joined(separator: ", "))")
        }
        guard values.updateValue(argument.value, forKey: name) == nil else {
          throw LayerError("\(function) has its argument \(name) twice")
        }
      }
      if !rest.isEmpty, let last = parameters.last?.dropFirst() {
        // A list instead of separate values.
        if rest.count == 1, case .list = rest[0] {
          values[String(last)] = rest[0]
        } else {
          values[String(last)] = .list(rest)
        }
      }
    }

    func has(_ name: String) -> Bool {
      guard let value = values[name] else { return false }
      if case .size(.none) = value { return false }
      return true
    }

    func tensor(_ name: String) throws -> Variable {
      guard case .variable(let variable)? = values[name] else {
        throw LayerError("\(function): \(name) is a tensor")
      }
      return variable
    }

    func tensors(_ name: String) throws -> [Variable] {
      guard case .list(let items)? = values[name], !items.isEmpty else {
        throw LayerError("\(function): \(name) is a list of tensors")
      }
      return try items.map { item in
        guard case .variable(let variable) = item else {
          throw LayerError("\(function): \(name) is a list of tensors")
        }
        return variable
      }
    }

    func integer(_ name: String, or standard: Int? = nil) throws -> Int {
      guard let value = values[name] else {
        if let standard { return standard }
        throw LayerError("\(function) needs its argument \(name)")
      }
      guard case .size(.integer(let number)) = value, number.magnitude <= 1 << 40 else {
        throw LayerError("\(function): \(name) is an integer")
      }
      return number
    }

    /// One integer or a list of them.
    func integers(_ name: String) throws -> [Int] {
      guard case .list(let items)? = values[name] else { return [try integer(name)] }
      return try items.map { item in
        guard case .size(.integer(let number)) = item, number.magnitude <= 1 << 40 else {
          throw LayerError("\(function): \(name) are integers")
        }
        return number
      }
    }

    func flag(_ name: String) throws -> Bool {
      guard let value = values[name] else { return false }
      return try ForwardPass.size(of: value).isTrue
    }

    func number(_ name: String) throws -> Double? {
      guard has(name), let value = values[name] else { return nil }
      guard let number = try ForwardPass.size(of: value).asNumber else {
        throw LayerError("\(function): \(name) is a number")
      }
      return number
    }
  }

  private static func result(
    of name: String, _ a: Bound, _ account: RunAccount, _ pass: ForwardPass
  ) throws -> ForwardPass.Value {
    /// Calls a function whose result has as many elements as its input.
    func same(_ body: (Variable) throws -> Variable) throws -> ForwardPass.Value {
      let input = try a.tensor("input")
      try account.take(input.shape)
      return .variable(try body(input))
    }
    switch name {
    case "exp": return try same { try $0.exp() }
    case "log": return try same { try $0.log() }
    case "sqrt": return try same { try $0.sqrt() }
    case "abs": return try same { try $0.abs() }
    case "flatten":
      return try same {
        try $0.flattened(
          startDimension: a.integer("start_dim", or: 0), endDimension: a.integer("end_dim", or: -1))
      }
    case "transpose":
      return try same { try $0.transposed(a.integer("dim0"), a.integer("dim1")) }
    case "permute": return try same { try $0.permuted(a.integers("dims")) }
    case "reshape", "view": return try same { try $0.reshaped(a.integers("shape")) }
    case "unsqueeze": return try same { try $0.unsqueezed(a.integer("dim")) }
    case "squeeze": return try same { try $0.squeezed(a.integer("dim")) }
    case "log_softmax": return try same { try $0.logSoftmax(dimension: a.integer("dim")) }
    case "mean", "sum":
      return try same { input in
        let dimensions = a.has("dim") ? try a.integers("dim") : nil
        let keeps = try a.flag("keepdim")
        return name == "sum"
          ? try input.sum(dimensions, keepDimensions: keeps)
          : try input.mean(dimensions, keepDimensions: keeps)
      }
    case "expand":
      let input = try a.tensor("input")
      var sizes = try a.integers("sizes")
      let added = sizes.count - input.rank
      guard added >= 0 else {
        throw LayerError("expand: \(input.shape) has more dimensions than \(sizes)")
      }
      // -1 keeps the size.
      for axis in sizes.indices where sizes[axis] == -1 && axis >= added {
        sizes[axis] = input.shape[axis - added]
      }
      try account.take(sizes)
      return .variable(try input.expanded(to: sizes))
    case "cat", "stack":
      let tensors = try a.tensors("tensors")
      for each in tensors { try account.take(each.shape) }
      let dimension = try a.integer("dim", or: 0)
      return .variable(
        name == "cat"
          ? try Variable.cat(tensors, dimension: dimension)
          : try Variable.stack(tensors, dimension: dimension))
    case "chunk":
      let input = try a.tensor("input")
      try account.take(input.shape)
      let count = try a.integer("chunks")
      guard (1...4096).contains(count) else { throw LayerError("chunk: \(count) parts") }
      return .list(
        try input.chunked(count, dimension: a.integer("dim", or: 0)).map { .variable($0) })
    case "matmul": return .variable(try pass.product(a.tensor("input"), a.tensor("other")))
    case "size":
      let input = try a.tensor("input")
      guard a.has("dim") else { return .list(input.shape.map { .size(.integer($0)) }) }
      let dimension = try a.integer("dim")
      let number = dimension < 0 ? dimension + input.rank : dimension
      guard input.shape.indices.contains(number) else {
        throw LayerError("size: the shape \(input.shape) has no dimension \(dimension)")
      }
      return .size(.integer(input.shape[number]))
    case "arange":
      let count = try a.integer("end")
      try account.take([count])
      return .variable(try Variable.arange(count))
    case "attention": return .variable(try attention(a, account))
    case "scaled_dot_product_attention":
      let (query, key, value) = (try a.tensor("query"), try a.tensor("key"), try a.tensor("value"))
      try takeScores(query, key, account)
      try account.take(query.shape.dropLast() + value.shape.suffix(1))
      return .variable(
        try Variable.scaledDotProductAttention(
          query: query, key: key, value: value, isCausal: a.flag("is_causal"),
          scale: a.number("scale")))
    default: throw LayerError("no function is called \(name)")
    }
  }

  /// Attention with several heads over tensors of shape [batch, tokens, heads · width].
  private static func attention(_ a: Bound, _ account: RunAccount) throws -> Variable {
    let heads = try a.integer("heads")
    let parts = try ["query", "key", "value"].map { name in
      let part = try a.tensor(name)
      guard part.rank == 3, (1...(1 << 20)).contains(heads), part.shape[2] % heads == 0,
        part.shape[2] > 0
      else {
        throw LayerError("attention: \(name) of shape \(part.shape) for \(heads) heads")
      }
      try account.take(part.shape)
      return try part.split(heads: heads)
    }
    try takeScores(parts[0], parts[1], account)
    return try Variable.scaledDotProductAttention(
      query: parts[0], key: parts[1], value: parts[2], isCausal: a.flag("is_causal")
    ).joined()
  }

  private static func takeScores(
    _ query: Variable, _ key: Variable, _ account: RunAccount
  ) throws {
    guard query.rank >= 2, key.rank >= 2 else {
      throw LayerError("attention: queries and keys of shapes \(query.shape) and \(key.shape)")
    }
    let batch = try RunAccount.broadcast(
      Array(query.shape.dropLast(2)), Array(key.shape.dropLast(2)))
    try account.take(batch + [query.shape[query.rank - 2], key.shape[key.rank - 2]])
  }
}
