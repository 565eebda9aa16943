internal import CkptBytes
public import TrainingCore

/// torchvision's `VGG`, with its keys (Simonyan and Zisserman, arXiv:1409.1556).
public final class VGG: Module {
  let features: Sequential
  let avgpool: AdaptiveAvgPool2d
  let classifier: Sequential

  /// The indices of the convolutions that are followed by pooling in VGG-16.
  static let pooled: Set<Int> = [1, 3, 6, 9, 12]

  /// Creates a VGG-16 with new weights.
  ///
  /// - Parameters:
  ///   - inputs: the number of input channels.
  ///   - widths: the numbers of output channels of the thirteen convolutions.
  ///   - hasBatchNorm: whether a batch norm follows each convolution.
  ///   - pooledSize: the height and width to which features are pooled before the classifier, in
  ///     pixels.
  ///   - hidden: the widths of the classifier's hidden layers.
  ///   - classes: the number of classes.
  ///   - random: the source of the initial weights.
  /// - Throws: `ZooError.cannotInfer` unless there are thirteen widths; `TrainingError` for invalid
  ///   sizes.
  public init(
    inputs: Int = 3, widths: [Int], hasBatchNorm: Bool = false, pooledSize: Int = 7,
    hidden: (Int, Int) = (4096, 4096), classes: Int, from random: RandomSource = .shared
  ) throws {
    guard widths.count == 13, let last = widths.last else {
      throw ZooError.cannotInfer(
        model: "vgg16", key: "features", problem: "there are thirteen convolutions")
    }
    var layers: [Module] = []
    var channels = inputs
    for (number, width) in widths.enumerated() {
      let convolution = try Conv2d(channels, width, kernelSize: 3, padding: 1, from: random)
      try convolution.weight.initializing(by: .kaimingNormalFanOut, from: random)
      layers.append(convolution)
      if hasBatchNorm { layers.append(try BatchNorm2d(width)) }
      layers.append(ReLU())
      if Self.pooled.contains(number) { layers.append(MaxPool2d(2)) }
      channels = width
    }
    features = Sequential(layers)
    avgpool = AdaptiveAvgPool2d(Pair(pooledSize))
    classifier = Sequential(
      try Linear(last * pooledSize * pooledSize, hidden.0, from: random), ReLU(),
      Dropout(from: random), try Linear(hidden.0, hidden.1, from: random), ReLU(),
      Dropout(from: random), try Linear(hidden.1, classes, from: random))
  }

  /// Computes the logits of each input.
  ///
  /// - Parameter input: of shape [batch, channels, height, width].
  /// - Returns: a variable of shape [batch, classes].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try classifier(avgpool(features(input)).flattened(startDimension: 1))
  }
}

/// VGG-16 with or without batch norms; widths and the number of classes are inferred.
struct VGGFamily: ModelFamily {
  var name: String { "vgg16" }
  var anchor: String { "features.0.weight" }

  /// The indices of the convolutions in `features`.
  private func convolutions(hasBatchNorm: Bool) -> [Int] {
    var numbers: [Int] = []
    var next = 0
    for layer in 0..<13 {
      numbers.append(next)
      next += (hasBatchNorm ? 3 : 2) + (VGG.pooled.contains(layer) ? 1 : 0)
    }
    return numbers
  }

  private func hasBatchNorm(_ shapes: StateShapes) -> Bool {
    shapes["features.1.weight"]?.count == 1
  }

  func makePublishedModule(from random: RandomSource) throws -> Module? {
    try VGG(
      widths: [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512], classes: 1000,
      from: random)
  }

  func recognizes(_ shapes: StateShapes) -> Bool {
    let numbers = convolutions(hasBatchNorm: hasBatchNorm(shapes))
    let last = numbers[12]
    return numbers.allSatisfy { shapes["features.\($0).weight"]?.count == 4 }
      && !shapes.keys.contains { key in
        shapes[key]?.count == 4 && key.hasPrefix("features.")
          && (Int(key.dropFirst(9).prefix { $0 != "." }) ?? 0) > last
      }
  }

  func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    let hasBatchNorm = hasBatchNorm(shapes)
    let convolutions = try convolutions(hasBatchNorm: hasBatchNorm).map {
      try shapes.sizes("features.\($0).weight", rank: 4, for: name)
    }
    let widths = convolutions.map { $0[0] }
    let first = try shapes.sizes("classifier.0.weight", rank: 2, for: name)
    let second = try shapes.sizes("classifier.3.weight", rank: 2, for: name)
    let pooled = Int(saturating: (Double(first[1]) / Double(widths[12])).squareRoot())
    guard pooled > 0, pooled <= 64, widths[12] * pooled * pooled == first[1] else {
      throw ZooError.cannotInfer(
        model: name, key: "classifier.0.weight",
        problem: "\(first[1]) inputs are no square of pixels of \(widths[12]) channels")
    }
    let classes =
      try options.count("classes", for: name) ?? shapes["classifier.6.weight"]?.first ?? 1000
    let model = try VGG(
      inputs: convolutions[0][1], widths: widths, hasBatchNorm: hasBatchNorm, pooledSize: pooled,
      hidden: (first[0], second[0]), classes: classes, from: random)
    return ZooModel(
      name: name, module: model, input: .images(channels: convolutions[0][1], size: 64),
      objective: .classes(classes),
      hyperparameters: [
        ("classes", classes), ("input channels", convolutions[0][1]), ("features", widths[12]),
      ], head: ["classifier.6"])
  }
}
