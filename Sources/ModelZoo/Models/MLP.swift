public import TrainingCore

/// Linear layers with rectifiers between them, under any keys.
public final class MLP: Module {
  private let layers: [(key: String, layer: Linear)]

  /// Layers under their keys, in order.
  public init(_ layers: [(key: String, layer: Linear)]) { self.layers = layers }

  override public var members: [(key: String, member: Member)] {
    layers.map { ($0.key, .module($0.layer)) }
  }

  override public func forward(_ input: Variable) throws -> Variable {
    var value = input
    for (place, layer) in layers.enumerated() {
      value = try place > 0 ? layer.layer(value.relu()) : layer.layer(value)
    }
    return value
  }
}

/// State dicts of linear layers alone, each of which takes what the one before gives.
struct MLPFamily: ModelFamily {
  var name: String { "mlp" }
  // Any key may be the first.
  var anchor: String { "" }
  var options: [(name: String, explanation: String)] { [ModelOptions.classes] }

  /// A chain of more layers than this is no model that anybody made.
  private static let layerLimit = 1000

  /// The modules in the file's order.
  private func layers(_ shapes: StateShapes) -> [String] {
    shapes.keys.filter { $0.hasSuffix(".weight") && shapes[$0]?.count == 2 }
      .map { String($0.dropLast(7)) }
  }

  func recognises(_ shapes: StateShapes) -> Bool {
    let layers = layers(shapes)
    let own = Set(layers.flatMap { ["\($0).weight", "\($0).bias"] })
    let chained = zip(layers, layers.dropFirst()).allSatisfy {
      shapes["\($0).weight"]?.first == shapes["\($1).weight"]?.last
    }
    return !layers.isEmpty && layers.count <= Self.layerLimit && chained
      && shapes.keys.allSatisfy(own.contains)
  }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let keys = layers(shapes)
    guard let first = keys.first, let last = keys.last else {
      throw ZooError.cannotInfer(
        model: name, key: "weight", problem: "no tensor is the weight of a linear layer")
    }
    let new = try options.count("classes", for: name)
    var widths = [try shapes.sizes("\(first).weight", rank: 2, for: name)[1]]
    let layers = try keys.map { key in
      let weight = try shapes.sizes("\(key).weight", rank: 2, for: name)
      guard weight[1] == widths.last else {
        throw ZooError.cannotInfer(
          model: name, key: "\(key).weight",
          problem: "takes \(weight[1]) numbers, but the layer before gives \(widths.last ?? 0)")
      }
      let outputs = key == last ? new ?? weight[0] : weight[0]
      widths.append(outputs)
      return (
        key,
        try Linear(weight[1], outputs, bias: shapes["\(key).bias"] != nil, from: random)
      )
    }
    let classes = widths[widths.count - 1]
    return ZooModel(
      name: name, module: MLP(layers), input: .features(widths[0]),
      objective: classes > 1 ? .classes(classes) : .numbers,
      hyperparameters: [("classes", classes), ("inputs", widths[0]), ("layers", layers.count)],
      head: [last])
  }
}
