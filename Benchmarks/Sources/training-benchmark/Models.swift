import TrainingCore

/// A residual block of two or three convolutions.
final class Block: Module {
  let body: [(Conv2d, BatchNorm2d)]
  let shortcut: (Conv2d, BatchNorm2d)?

  init(_ inputs: Int, _ width: Int, stride: Int, isBottleneck: Bool) throws {
    func unit(_ from: Int, _ to: Int, _ kernel: Int, _ stride: Int) throws -> (Conv2d, BatchNorm2d)
    {
      (
        try Conv2d(
          from, to, kernelSize: Pair(kernel), stride: Pair(stride), padding: Pair(kernel / 2),
          bias: false), try BatchNorm2d(to)
      )
    }
    let outputs = isBottleneck ? 4 * width : width
    body =
      isBottleneck
      ? try [unit(inputs, width, 1, 1), unit(width, width, 3, stride), unit(width, outputs, 1, 1)]
      : try [unit(inputs, width, 3, stride), unit(width, width, 3, 1)]
    shortcut =
      try stride != 1 || inputs != outputs ? unit(inputs, outputs, 1, stride) : nil
  }

  override var members: [(key: String, member: Member)] {
    body.enumerated().flatMap { i, unit in
      [("conv\(i + 1)", Member.module(unit.0)), ("bn\(i + 1)", Member.module(unit.1))]
    }
      + (shortcut.map {
        [("downsample", Member.module(Sequential($0.0, $0.1)))]
      } ?? [])
  }

  override func forward(_ input: Variable) throws -> Variable {
    let beside =
      try shortcut.map { try $0.0.normalized(input, by: $0.1, relu: false) } ?? input
    var value = input
    for (i, unit) in body.enumerated() {
      value = try unit.0.normalized(
        value, by: unit.1, adding: i < body.count - 1 ? nil : beside, relu: true)
    }
    return value
  }
}

/// torchvision's ResNet-18 or ResNet-50.
func resnet(depth: Int) throws -> Module {
  let isBottleneck = depth == 50
  let counts = isBottleneck ? [3, 4, 6, 3] : [2, 2, 2, 2]
  var layers: [(key: String, module: Module)] = [
    ("conv1", try Conv2d(3, 64, kernelSize: 7, stride: 2, padding: 3, bias: false)),
    ("bn1", try BatchNorm2d(64)), ("relu", ReLU()),
    ("maxpool", MaxPool2d(3, stride: 2, padding: 1)),
  ]
  var inputs = 64
  for (stage, count) in counts.enumerated() {
    let width = 64 << stage
    var blocks: [Module] = []
    for i in 0..<count {
      blocks.append(
        try Block(
          inputs, width, stride: stage > 0 && i == 0 ? 2 : 1, isBottleneck: isBottleneck))
      inputs = isBottleneck ? 4 * width : width
    }
    layers.append(("layer\(stage + 1)", Sequential(blocks)))
  }
  layers.append(("avgpool", AdaptiveAvgPool2d(1)))
  layers.append(("flatten", Flatten()))
  layers.append(("fc", try Linear(inputs, 1000)))
  return Sequential(named: layers)
}

/// An encoder layer: attention and two linear maps, each with a residual.
final class EncoderLayer: Module {
  let selfAttn: MultiheadAttention
  let linear1: Linear
  let linear2: Linear
  let norm1: LayerNorm
  let norm2: LayerNorm
  let normalizesFirst: Bool

  init(_ width: Int, heads: Int, inner: Int, normalizesFirst: Bool) throws {
    selfAttn = try MultiheadAttention(width, numHeads: heads)
    linear1 = try Linear(width, inner)
    linear2 = try Linear(inner, width)
    norm1 = try LayerNorm(width)
    norm2 = try LayerNorm(width)
    self.normalizesFirst = normalizesFirst
  }

  override func forward(_ input: Variable) throws -> Variable {
    if normalizesFirst {
      let value = try input + selfAttn(norm1(input))
      return try value + linear2(linear1(norm2(value)).gelu())
    }
    let value = try norm1(input + selfAttn(input))
    return try norm2(value + linear2(linear1(value).gelu()))
  }
}

/// A vision transformer like torchvision's ViT-B/16.
final class VisionTransformer: Module {
  let convProj: Conv2d
  let classToken: Parameter
  let posEmbedding: Parameter
  let layers: [EncoderLayer]
  let ln: LayerNorm
  let head: Linear

  override init() {
    fatalError("use init(width:)")
  }

  init(width: Int) throws {
    convProj = try Conv2d(3, width, kernelSize: 16, stride: 16)
    classToken = try Parameter([1, 1, width], .constant(0))
    posEmbedding = try Parameter([1, 197, width], .normal(mean: 0, standardDeviation: 0.02))
    layers = try (0..<12).map { _ in
      try EncoderLayer(width, heads: width / 64, inner: 4 * width, normalizesFirst: true)
    }
    ln = try LayerNorm(width)
    head = try Linear(width, 1000)
  }

  override func forward(_ input: Variable) throws -> Variable {
    let patches = try convProj(input).flattened(startDimension: 2).transposed(1, 2)
    let token = try classToken.expanded(to: [input.shape[0], 1, patches.shape[2]])
    var value = try Variable.cat([token, patches], dimension: 1) + posEmbedding
    for layer in layers { value = try layer(value) }
    return try head(ln(value).selected(0, dimension: 1))
  }
}
