import CkptPatterns
import CkptStateDicts
import TrainingCore

/// What is timed; `peers/training.py` has the same cases.
enum Cases {
  typealias Step = () throws -> Void

  static func make(_ name: String) throws -> Step {
    if name.hasPrefix("conv-") {
      let sizes = name.split(separator: "-").dropFirst().compactMap { Int($0) }
      return try convolution(sizes)
    }
    switch name {
    case "resnet18": return try trainer(resnet(depth: 18), images(8), labels(8))
    case "resnet18-32": return try trainer(resnet(depth: 18), images(32), labels(32))
    case "resnet18-head":
      let model = try resnet(depth: 18)
      try model.freeze(except: KeyPattern(.under, "fc"))
      return try trainer(model, images(8), labels(8))
    case "resnet50-forward-1": return try forward(resnet(depth: 50), images(1))
    case "resnet50-forward-8": return try forward(resnet(depth: 50), images(8))
    case "vit_b_16": return try trainer(VisionTransformer(width: 768), images(4), labels(4))
    case "mlp":
      let model = Sequential(
        try Linear(784, 512), ReLU(), try Linear(512, 256), ReLU(), try Linear(256, 10))
      return try trainer(model, Variable.normal([128, 784]), labels(128))
    case "encoder":
      let layers: [Module] = try (0..<4).map { _ in
        try EncoderLayer(768, heads: 12, inner: 3072, normalizesFirst: false)
      }
      return try trainer(
        Sequential(layers + [Linear(768, 10), Flatten(startDimension: 0, endDimension: 1)]),
        Variable.normal([2, 128, 768]), labels(256))
    default: throw TrainingError.badArgument(operation: "benchmark", problem: "no case \(name)")
    }
  }

  private static func images(_ count: Int) throws -> Variable {
    try Variable.normal([count, 3, 224, 224])
  }

  private static func labels(_ count: Int) throws -> Variable {
    try Variable(indices: (0..<count).map { $0 % 10 })
  }

  private static func trainer(_ model: Module, _ x: Variable, _ y: Variable) throws -> Step {
    let optimizer = try SGD(
      model.trainableParameters.map(\.parameter), learningRate: 0.001, momentum: 0.9)
    return {
      optimizer.zeroGrad()
      try model(x).crossEntropy(y).backward()
      try optimizer.step()
    }
  }

  private static func forward(_ model: Module, _ x: Variable) throws -> Step {
    model.eval()
    return { _ = try noGrad { try model(x) } }
  }

  /// A convolution alone, both ways: inputs, outputs, size, kernel, stride.
  private static func convolution(_ s: [Int]) throws -> Step {
    let layer = try Conv2d(
      s[0], s[1], kernelSize: Pair(s[3]), stride: Pair(s[4]), padding: Pair(s[3] / 2), bias: false)
    let x = try Variable.normal([8, s[0], s[2], s[2]])
    x.requiresGrad = true
    let g = try Variable.normal(layer(x).shape)
    return { try layer(x).backward(gradient: g) }
  }
}
