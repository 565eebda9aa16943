public import CkptStateDicts
public import ImageData

/// The conversion of an image to a model's input, for evaluation and prediction. It is saved with a
/// fine-tuned model.
public struct Preprocessing: Sendable, Hashable {
  /// The height and width of the model's input, in pixels.
  public var size: Int
  /// The length to which the shorter side of an image is resized before its center is cropped, in
  /// pixels.
  public var resize: Int
  /// The means of red, green and blue, on a scale from 0 to 1, that are subtracted.
  public var mean: [Double]
  /// The standard deviations of red, green and blue, by which is divided after that.
  public var standardDeviation: [Double]
  /// Whether images are rotated and mirrored by their EXIF orientation.
  public var exif: Bool

  /// Creates the preprocessing of a fine-tuning.
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

  /// The decoder of the image files.
  public var decoder: ImageDecoder { ImageDecoder(appliesOrientation: exif) }

  /// The entry `preprocessing` of a checkpoint.
  public var plainValue: PlainValue {
    .dict([
      "size": .int(size), "resize": .int(resize), "mean": .list(mean.map(PlainValue.float)),
      "std": .list(standardDeviation.map(PlainValue.float)),
      "interpolation": .string("bilinear"), "exif": .bool(exif),
    ])
  }

  /// Reads the entry `preprocessing` of a checkpoint.
  ///
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` if something is missing or out of
  ///   range.
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
  /// The transform of the training images.
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

  /// Whether the transform of the training images has nothing random, so that they are the same in
  /// every epoch.
  var hasFixedInputs: Bool { augment == .none && erase == 0 && mixup == 0 }
}
