public import TrainingCore

/// A residual block of two 3×3 convolutions: torchvision's `BasicBlock`.
final class BasicBlock: Module {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let conv2: Conv2d
  let bn2: BatchNorm2d
  let downsample: Sequential?

  init(_ inputs: Int, _ stage: ResNet.Stage, stride: Int, from random: RandomSource) throws {
    let outputs = stage.outputs
    conv1 = try ResNet.convolution(inputs, stage.width, 3, stride: stride, from: random)
    bn1 = try BatchNorm2d(stage.width)
    conv2 = try ResNet.convolution(stage.width, outputs, 3, from: random)
    bn2 = try BatchNorm2d(outputs)
    downsample = try ResNet.shortcut(inputs, outputs, stride: stride, from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    let value = try conv1.normalized(input, by: bn1, relu: true)
    return try conv2.normalized(
      value, by: bn2, adding: downsample?(input) ?? input, relu: true)
  }
}

/// A residual block of a 3×3 convolution between two 1×1 convolutions: torchvision's `Bottleneck`.
final class Bottleneck: Module {
  let conv1: Conv2d
  let bn1: BatchNorm2d
  let conv2: Conv2d
  let bn2: BatchNorm2d
  let conv3: Conv2d
  let bn3: BatchNorm2d
  let downsample: Sequential?

  init(_ inputs: Int, _ stage: ResNet.Stage, stride: Int, from random: RandomSource) throws {
    let (width, outputs) = (stage.width, stage.outputs)
    conv1 = try ResNet.convolution(inputs, width, 1, from: random)
    bn1 = try BatchNorm2d(width)
    conv2 = try ResNet.convolution(
      width, width, 3, stride: stride, groups: stage.groups, from: random)
    bn2 = try BatchNorm2d(width)
    conv3 = try ResNet.convolution(width, outputs, 1, from: random)
    bn3 = try BatchNorm2d(outputs)
    downsample = try ResNet.shortcut(inputs, outputs, stride: stride, from: random)
  }

  override func forward(_ input: Variable) throws -> Variable {
    var value = try conv1.normalized(input, by: bn1, relu: true)
    value = try conv2.normalized(value, by: bn2, relu: true)
    return try conv3.normalized(
      value, by: bn3, adding: downsample?(input) ?? input, relu: true)
  }
}

/// torchvision's `ResNet`, with its keys (He et al., arXiv:1512.03385; the stride of a bottleneck
/// is in its 3×3 convolution).
public final class ResNet: Module {
  /// A stage: blocks of the same width.
  public struct Stage: Sendable, Hashable {
    /// The number of blocks.
    public var blocks: Int
    /// The number of channels between the convolutions.
    public var width: Int
    /// The number of output channels.
    public var outputs: Int
    /// The number of groups of a bottleneck's 3×3 convolution.
    public var groups: Int

    /// Creates a stage.
    public init(blocks: Int, width: Int, outputs: Int, groups: Int = 1) {
      self.blocks = blocks
      self.width = width
      self.outputs = outputs
      self.groups = groups
    }
  }

  let conv1: Conv2d
  let bn1: BatchNorm2d
  let maxpool: MaxPool2d?
  let layer1: Sequential
  let layer2: Sequential
  let layer3: Sequential
  let layer4: Sequential
  let fc: Linear

  /// Creates a network of four stages with new weights.
  ///
  /// - Parameters:
  ///   - inputs: the number of input channels.
  ///   - stem: the number of output channels of the first convolution.
  ///   - stemKernel: the kernel size of the first convolution, in pixels. With 3 it has a stride of
  ///     1 and no pooling, as is usual for small images; else torchvision's stride of 2 and
  ///     pooling.
  ///   - stages: the four stages.
  ///   - hasBottlenecks: whether blocks are bottlenecks rather than basic blocks.
  ///   - classes: the number of classes.
  ///   - random: the source of the initial weights.
  /// - Throws: `ZooError.cannotInfer` unless there are four stages; `TrainingError` for invalid
  ///   sizes.
  public init(
    inputs: Int = 3, stem: Int = 64, stemKernel: Int = 7, stages: [Stage], hasBottlenecks: Bool,
    classes: Int, from random: RandomSource = .shared
  ) throws {
    guard stages.count == 4, stages.allSatisfy({ $0.blocks > 0 }) else {
      throw ZooError.cannotInfer(model: "resnet", key: "layer4", problem: "there are four stages")
    }
    let isSmall = stemKernel == 3
    conv1 = try Self.convolution(
      inputs, stem, stemKernel, stride: isSmall ? 1 : 2, from: random)
    bn1 = try BatchNorm2d(stem)
    maxpool = isSmall ? nil : MaxPool2d(3, stride: 2, padding: 1)
    var channels = stem
    let layers = try stages.enumerated().map { number, stage in
      let blocks = try (0..<stage.blocks).map { block in
        let stride = number > 0 && block == 0 ? 2 : 1
        defer { channels = stage.outputs }
        return hasBottlenecks
          ? try Bottleneck(channels, stage, stride: stride, from: random)
          : try BasicBlock(channels, stage, stride: stride, from: random)
      }
      return Sequential(blocks)
    }
    (layer1, layer2, layer3, layer4) = (layers[0], layers[1], layers[2], layers[3])
    fc = try Linear(channels, classes, from: random)
  }

  /// Computes the logits of each input.
  ///
  /// - Parameter input: of shape [batch, channels, height, width].
  /// - Returns: a variable of shape [batch, classes].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    var value = try conv1.normalized(input, by: bn1, relu: true)
    if let maxpool { value = try maxpool(value) }
    for layer in [layer1, layer2, layer3, layer4] { value = try layer(value) }
    return try fc(value.adaptiveAvgPool2d(1).flattened(startDimension: 1))
  }

  /// A convolution as in torchvision's ResNets: without a bias, initialized by Kaiming's normal
  /// distribution by fan-out.
  static func convolution(
    _ inputs: Int, _ outputs: Int, _ size: Int, stride: Int = 1, groups: Int = 1,
    from random: RandomSource
  ) throws -> Conv2d {
    let convolution = try Conv2d(
      inputs, outputs, kernelSize: Pair(size), stride: Pair(stride), padding: Pair(size / 2),
      groups: groups, bias: false, from: random)
    try convolution.weight.initializing(by: .kaimingNormalFanOut, from: random)
    return convolution
  }

  static func shortcut(_ inputs: Int, _ outputs: Int, stride: Int, from random: RandomSource)
    throws -> Sequential?
  {
    guard stride != 1 || inputs != outputs else { return nil }
    return Sequential(
      try convolution(inputs, outputs, 1, stride: stride, from: random),
      try BatchNorm2d(outputs))
  }
}

/// ResNets of one depth; widths, groups and classes are inferred.
struct ResNetFamily: ModelFamily {
  let name: String
  let blocks: [Int]
  let hasBottlenecks: Bool

  var anchor: String { "layer1.0.conv1.weight" }

  func makePublishedModule(from random: RandomSource) throws -> Module? {
    try ResNet(
      stages: zip(blocks, [64, 128, 256, 512]).map {
        ResNet.Stage(blocks: $0, width: $1, outputs: hasBottlenecks ? 4 * $1 : $1)
      }, hasBottlenecks: hasBottlenecks, classes: 1000, from: random)
  }

  func recognizes(_ shapes: StateShapes) -> Bool {
    (1...4).map { shapes.count(behind: "layer\($0).") } == blocks
      && (shapes["layer1.0.conv3.weight"] != nil) == hasBottlenecks
  }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let stem = try shapes.sizes("conv1.weight", rank: 4, for: name)
    let stages = try blocks.enumerated().map { number, count in
      let block = "layer\(number + 1).0"
      let middle = try shapes.sizes("\(block).conv2.weight", rank: 4, for: name)
      guard hasBottlenecks else {
        let first = try shapes.sizes("\(block).conv1.weight", rank: 4, for: name)
        return ResNet.Stage(blocks: count, width: first[0], outputs: middle[0])
      }
      let last = try shapes.sizes("\(block).conv3.weight", rank: 4, for: name)
      return ResNet.Stage(
        blocks: count, width: middle[0], outputs: last[0], groups: max(middle[0] / middle[1], 1))
    }
    let classes = try options.count("classes", for: name) ?? shapes["fc.weight"]?.first ?? 1000
    let model = try ResNet(
      inputs: stem[1], stem: stem[0], stemKernel: stem[2], stages: stages,
      hasBottlenecks: hasBottlenecks, classes: classes, from: random)
    return ZooModel(
      name: name, module: model, input: .images(channels: stem[1], size: 64),
      objective: .classes(classes),
      hyperparameters: [
        ("classes", classes), ("input channels", stem[1]), ("width", stem[0]),
        ("features", stages[3].outputs),
      ], head: ["fc"])
  }
}
