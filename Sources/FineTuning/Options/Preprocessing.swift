public import CkptStateDicts
public import ImageData

/// How an image becomes numbers for evaluation and prediction: it is part of a fine-tuned checkpoint.
public struct Preprocessing: Sendable, Hashable {
  /// The height and width that the model sees, in pixels.
  public var size: Int
  /// The shorter side of an image before its middle is cut out, in pixels.
  public var resize: Int
  /// The mean of each color that is subtracted, of values from 0 to 1.
  public var mean: [Double]
  /// The standard deviation by which each color is divided.
  public var standardDeviation: [Double]
  /// Whether images are turned as their EXIF orientation says.
  public var exif: Bool

  /// That of a fine-tuning.
  public init(_ options: FineTuningOptions) {
    size = options.size
    resize = options.resize
    mean = options.mean
    standardDeviation = options.standardDeviation
    exif = options.exif
  }

  /// The transform for evaluation and prediction.
  public var transform: ImageTransform {
    var transform = ImageTransform.evaluation(resize: resize, size: size)
    transform.normalization = normalization
    return transform
  }

  var normalization: Normalization {
    Normalization(
      mean: mean.map { Float($0) }, deviation: standardDeviation.map { Float($0) })
  }

  /// How files are decoded.
  public var decoder: ImageDecoder { ImageDecoder(appliesOrientation: exif) }

  /// A dict as a fine-tuned checkpoint has it under `preprocessing`.
  public var plainValue: PlainValue {
    .dict([
      "size": .int(size), "resize": .int(resize), "mean": .list(mean.map(PlainValue.float)),
      "std": .list(standardDeviation.map(PlainValue.float)),
      "interpolation": .string("bilinear"), "exif": .bool(exif),
    ])
  }

  /// Reads what a checkpoint has under `preprocessing`.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` where something is missing or out of range.
  public init(_ value: PlainValue, from file: String) throws {
    var options = FineTuningOptions()
    func fail(_ problem: String) -> FineTuningError {
      .notFineTuned(file: file, problem: "its preprocessing \(problem)")
    }
    guard let size = value["size"]?.int, let resize = value["resize"]?.int,
      let mean = value["mean"]?.items?.compactMap(\.number),
      let deviation = value["std"]?.items?.compactMap(\.number)
    else { throw fail("lacks size, resize, mean or std") }
    guard value["interpolation"]?.string ?? "bilinear" == "bilinear" else {
      throw fail("interpolates otherwise than bilinearly")
    }
    (options.size, options.resize, options.mean) = (size, resize, mean)
    options.standardDeviation = deviation
    options.exif = value["exif"]?.bool ?? false
    do {
      try options.check()
    } catch let error as FineTuningError {
      throw fail("makes no sense: \(error.description)")
    }
    self.init(options)
  }
}

extension FineTuningOptions {
  /// What the training images go through.
  var trainingTransform: ImageTransform {
    let evaluation = Preprocessing(self).transform
    var transform: ImageTransform
    switch augment {
    case .none: transform = evaluation
    case .flip:
      transform = evaluation
      transform.flipProbability = 0.5
    case .standard, .randaugment:
      transform = .training(size: size)
      transform.normalization = evaluation.normalization
      if augment == .randaugment { transform.augment = RandAugment() }
    }
    if erase > 0 { transform.erasing = RandomErasing(probability: erase) }
    return transform
  }

  /// Whether a training image is the same numbers in every epoch.
  var hasFixedInputs: Bool { augment == .none && erase == 0 && mixup == 0 }
}
