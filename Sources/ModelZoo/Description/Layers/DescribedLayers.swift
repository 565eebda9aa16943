internal import TrainingCore

/// The layers of a described model in the order of the description, and its attention layers.
struct DescribedLayers {
  private(set) var all: [(key: String, layer: DescribedLayer)] = []
  /// The biases of queries and keys of each attention layer.
  private(set) var attentionBiases: [AttentionBiases] = []

  init(_ model: DescribedModule) {
    var open: [DescribedModule.Part] = [.module(model)]
    var keys = [""]
    while let part = open.popLast(), let key = keys.popLast() {
      switch part {
      case .layer(let layer):
        all.append((key, layer))
        if let attention = layer.module as? MultiheadAttention {
          addAttention(attention, key)
        } else if let block = layer.module as? TransformerEncoderLayer {
          addAttention(block.selfAttn, key + ".self_attn")
        }
      case .module(let module):
        for step in module.steps ?? [] { addAttention(step.value, module, key) }
        for (name, _, inner) in module.parts.reversed() {
          open.append(inner)
          keys.append(key.isEmpty ? name : key + "." + name)
        }
      case .parameter, .buffer: break
      }
    }
  }

  private mutating func addAttention(_ attention: MultiheadAttention, _ key: String) {
    guard let bias = attention.inProjBias else { return }
    let (name, width) = (key + ".in_proj_bias", bias.count / 3)
    attentionBiases.append(
      AttentionBiases(layer: key, query: (name, 0..<width), key: (name, width..<2 * width)))
  }

  /// Finds calls `attention(query(…), key(…), …)` of linear layers with biases.
  private mutating func addAttention(
    _ expression: Expression, _ module: DescribedModule, _ key: String
  ) {
    var open = [expression]
    while let next = open.popLast() {
      switch next {
      case .call(let callee, let arguments):
        open += arguments.map(\.value)
        if case .member(let head, _) = callee { open.append(head) }
        guard case .name("attention") = callee, arguments.count >= 2 else { continue }
        let biases = arguments.prefix(2).map { linearBias($0.value, module, key) }
        if let query = biases[0], let other = biases[1] {
          attentionBiases.append(AttentionBiases(layer: key, query: query, key: other))
        }
      case .binary(_, let left, let right): open += [left, right]
      case .unary(_, let operand): open.append(operand)
      case .list(let items): open += items
      case .index(let head, _), .member(let head, _): open.append(head)
      case .condition(_, let first, let second): open += [first, second]
      case .integer, .number, .name: break
      }
    }
  }

  /// The bias of the linear layer that an expression calls; nil if it calls something else.
  private func linearBias(_ expression: Expression, _ module: DescribedModule, _ key: String)
    -> (key: String, range: Range<Int>)?
  {
    guard case .call(let callee, _) = expression, let path = callee.path,
      case .layer(let layer)? = module.part(at: path)?.part,
      let linear = layer.module as? Linear, let bias = linear.bias
    else { return nil }
    let name = ([key].filter { !$0.isEmpty } + path + ["bias"]).joined(separator: ".")
    return (name, 0..<bias.count)
  }
}
