public import TrainingCore

/// torchvision's `MobileNetV2`, with its keys (Sandler et al., arXiv:1801.04381).
public final class MobileNetV2: Module {
  /// An inverted residual block.
  public struct Block: Sendable, Hashable {
    /// The number of channels between the convolutions.
    public var hidden: Int
    /// The number of output channels.
    public var outputs: Int
    /// Whether a 1×1 convolution widens the input first.
    public var expands: Bool

    /// Creates a block.
    public init(hidden: Int, outputs: Int, expands: Bool) {
      self.hidden = hidden
      self.outputs = outputs
      self.expands = expands
    }
  }

  /// The indices of the blocks with a stride of 2.
  static let halving: Set<Int> = [1, 3, 6, 13]

  let features: Sequential
  let classifier: Sequential

  /// Creates a network with new weights.
  ///
  /// - Parameters:
  ///   - inputs: the number of input channels.
  ///   - stem: the number of output channels of the first convolution.
  ///   - blocks: the blocks, seventeen in the published network.
  ///   - last: the number of output channels of the last convolution.
  ///   - classes: the number of classes.
  ///   - random: the source of the initial weights.
  /// - Throws: `TrainingError` for invalid sizes.
  public init(
    inputs: Int = 3, stem: Int, blocks: [Block], last: Int, classes: Int,
    from random: RandomSource = .shared
  ) throws {
    var layers: [Module] = [
      try Self.normalized(inputs, stem, 3, stride: 2, relu6: true, from: random)
    ]
    var channels = stem
    for (number, block) in blocks.enumerated() {
      let stride = Self.halving.contains(number) ? 2 : 1
      layers.append(try InvertedResidual(channels, block, stride: stride, from: random))
      channels = block.outputs
    }
    layers.append(try Self.normalized(channels, last, 1, relu6: true, from: random))
    features = Sequential(layers)
    let head = try Linear(last, classes, from: random)
    try head.weight.initializing(by: .normal(mean: 0, standardDeviation: 0.01), from: random)
    classifier = Sequential(Dropout(0.2, from: random), head)
  }

  /// Computes the logits of each input.
  ///
  /// - Parameter input: of shape [batch, channels, height, width].
  /// - Returns: a variable of shape [batch, classes].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try classifier(features(input).adaptiveAvgPool2d(1).flattened(startDimension: 1))
  }

  /// A convolution without a bias, a batch norm, and optionally a ReLU6: torchvision's
  /// `Conv2dNormActivation`.
  static func normalized(
    _ inputs: Int, _ outputs: Int, _ size: Int, stride: Int = 1, groups: Int = 1,
    relu6: Bool, from random: RandomSource
  ) throws -> Sequential {
    let convolution = try Conv2d(
      inputs, outputs, kernelSize: Pair(size), stride: Pair(stride), padding: Pair(size / 2),
      groups: groups, bias: false, from: random)
    try convolution.weight.initializing(by: .kaimingNormalFanOut, from: random)
    let norm = try BatchNorm2d(outputs)
    return relu6 ? Sequential(convolution, norm, ReLU6()) : Sequential(convolution, norm)
  }
}

/// A depthwise convolution between two 1×1 convolutions, with a residual connection if shapes allow
/// it: torchvision's `InvertedResidual`.
final class InvertedResidual: Module {
  let conv: Sequential
  private let isResidual: Bool

  init(_ inputs: Int, _ block: MobileNetV2.Block, stride: Int, from random: RandomSource) throws {
    var layers: [Module] = []
    if block.expands {
      layers.append(
        try MobileNetV2.normalized(inputs, block.hidden, 1, relu6: true, from: random))
    }
    layers.append(
      try MobileNetV2.normalized(
        block.hidden, block.hidden, 3, stride: stride, groups: block.hidden, relu6: true,
        from: random))
    let narrow = try MobileNetV2.normalized(
      block.hidden, block.outputs, 1, relu6: false, from: random)
    conv = Sequential(layers + [narrow[0], narrow[1]])
    isResidual = stride == 1 && inputs == block.outputs
  }

  override func forward(_ input: Variable) throws -> Variable {
    isResidual ? try input + conv(input) : try conv(input)
  }
}

/// MobileNetV2 of any width; the number of classes is inferred, too.
struct MobileNetV2Family: ModelFamily {
  var name: String { "mobilenet_v2" }
  var anchor: String { "features.1.conv.0.0.weight" }

  func makePublishedModule(from random: RandomSource) throws -> Module? {
    // The blocks and their output channels are from table 2 of the paper.
    let widths = [(1, 16), (2, 24), (3, 32), (4, 64), (3, 96), (3, 160), (1, 320)].flatMap {
      [Int](repeating: $1, count: $0)
    }
    let blocks = zip([32] + widths, widths).enumerated().map { number, channels in
      let expands = number > 0
      return MobileNetV2.Block(
        hidden: channels.0 * (expands ? 6 : 1), outputs: channels.1, expands: expands)
    }
    return try MobileNetV2(stem: 32, blocks: blocks, last: 1280, classes: 1000, from: random)
  }

  func recognizes(_ shapes: StateShapes) -> Bool {
    shapes.count(behind: "features.") == 19 && shapes["features.2.conv.3.running_mean"] != nil
  }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let stem = try shapes.sizes("features.0.0.weight", rank: 4, for: name)
    let blocks = try (1...17).map { number in
      let expands = number > 1
      let narrow = try shapes.sizes(
        "features.\(number).conv.\(expands ? 2 : 1).weight", rank: 4, for: name)
      return MobileNetV2.Block(hidden: narrow[1], outputs: narrow[0], expands: expands)
    }
    let last = try shapes.sizes("features.18.0.weight", rank: 4, for: name)
    let classes =
      try options.count("classes", for: name) ?? shapes["classifier.1.weight"]?.first ?? 1000
    let model = try MobileNetV2(
      inputs: stem[1], stem: stem[0], blocks: blocks, last: last[0], classes: classes,
      from: random)
    return ZooModel(
      name: name, module: model, input: .images(channels: stem[1], size: 64),
      objective: .classes(classes),
      hyperparameters: [
        ("classes", classes), ("input channels", stem[1]), ("width", stem[0]),
        ("features", last[0]),
      ], head: ["classifier.1"])
  }
}
