public import TrainingCore

/// A multilayer perceptron: linear layers with ReLUs between them, with any keys.
public final class MLP: Module {
  private let layers: [(key: String, layer: Linear)]

  /// Creates a perceptron from layers with their keys, in order.
  public init(_ layers: [(key: String, layer: Linear)]) { self.layers = layers }

  /// The submodules with their keys.
  override public var members: [(key: String, member: Member)] {
    layers.map { ($0.key, .module($0.layer)) }
  }

  /// Computes the logits of each input.
  ///
  /// - Parameter input: of shape [..., inputs].
  /// - Returns: a variable of shape [..., outputs].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    var value = input
    for (index, layer) in layers.enumerated() {
      value = try index > 0 ? layer.layer(value.relu()) : layer.layer(value)
    }
    return value
  }
}

/// State dicts of only linear layers, in which each layer has as many inputs as the previous one
/// has outputs.
struct MLPFamily: ModelFamily {
  var name: String { "mlp" }
  // Any key may be the first.
  var anchor: String { "" }
  var options: [(name: String, explanation: String)] { [ModelOptions.classes] }

  /// The largest number of layers.
  private static let layerLimit = 1000

  /// The keys of the layers, in the file's order.
  private func layers(_ shapes: StateShapes) -> [String] {
    shapes.keys.filter { $0.hasSuffix(".weight") && shapes[$0]?.count == 2 }
      .map { String($0.dropLast(7)) }
  }

  func recognizes(_ shapes: StateShapes) -> Bool {
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
