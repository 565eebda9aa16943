public import ImageData

/// The training and validation images of a fine-tuning.
public struct TrainingImages: Sendable {
  /// The origin of the validation images.
  public enum ValidationSource: Sendable, Hashable {
    /// A folder of their own, with this path.
    case folder(String)
    /// This share of each class, from 0 to 1, was split off at random.
    case split(Double)
  }

  /// The images that are trained on.
  public let training: ImageFolder
  /// The images on which the model is evaluated after each epoch.
  public let validation: ImageFolder
  /// The origin of the validation images.
  public let validationSource: ValidationSource
  /// The classes with only one image, which is a training image.
  public let unsplitClasses: [String]

  /// The default share of each class that is split off.
  public static let usualShare = 0.2

  /// Finds the images of a folder.
  ///
  /// If there is a folder `train` in it, this has the training images, and `val`, or else `test`,
  /// the validation images. Otherwise the folder has one folder for each class, and a share of each
  /// class is split off for validation.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - share: the share of each class that becomes validation images, above 0 and below 1; nil
  ///     for ``usualShare`` if a share must be split off.
  ///   - seed: decides which images are split off.
  ///   - keepsUnsplit: whether a class with only one image, which cannot be split, is trained on
  ///     and not evaluated; otherwise it is an error.
  /// - Throws: `ImageError` if a folder has no classes, a class has no images, or the validation
  ///   folder has other classes; ``FineTuningError`` if there are no validation images, a share is
  ///   given besides a validation folder, a class cannot be split, or `share` is out of range.
  public init(_ path: String, share: Double? = nil, seed: UInt64 = 0, keepsUnsplit: Bool = false)
    throws
  {
    if let share, !(share > 0 && share < 1) {
      throw FineTuningError.badOption(
        name: "the share of validation images", problem: "\(share) is not between 0 and 1")
    }
    let parts = DataParts(of: path)
    let all = try ImageFolder(parts.training ?? path)
    if parts.training != nil, let own = parts.validation {
      guard share == nil else { throw FineTuningError.validationExists(folder: own) }
      training = all
      validation = try ImageFolder(own, classes: all.classes)
      validationSource = .folder(own)
      unsplitClasses = []
      return
    }
    guard parts.training == nil || share != nil else {
      throw FineTuningError.noValidation(folder: path)
    }
    unsplitClasses = zip(all.classes, all.counts).filter { $0.1 < 2 }.map(\.0)
    guard unsplitClasses.isEmpty || keepsUnsplit, unsplitClasses.count < all.classes.count else {
      throw FineTuningError.classesTooSmall(folder: all.path, classes: unsplitClasses)
    }
    let part = share ?? Self.usualShare
    (training, validation) = all.split(secondPart: part, seed: seed)
    validationSource = .split(part)
  }

  /// The names of the classes.
  public var classes: [String] { training.classes }

  /// Reads the headers of all files, to find those that are no images before the training begins.
  ///
  /// - Parameter decoder: the decoder of the files.
  /// - Returns: the files whose headers cannot be read, with their errors.
  public func unreadable(by decoder: ImageDecoder) -> [EpochBatches.Omission] {
    (training.samples + validation.samples).compactMap { sample in
      do throws(ImageError) {
        _ = try decoder.describe(sample.path)
        return nil
      } catch {
        return EpochBatches.Omission(path: sample.path, error: error)
      }
    }
  }

  /// The images without the given files.
  ///
  /// - Throws: `ImageError.emptyClasses` if a class has no training images left, or there are no
  ///   validation images left.
  public func without(_ omissions: [EpochBatches.Omission]) throws -> TrainingImages {
    guard !omissions.isEmpty else { return self }
    let bad = Set(omissions.map(\.path))
    func kept(_ folder: ImageFolder) -> ImageFolder {
      folder.subset(folder.samples.indices.filter { !bad.contains(folder.samples[$0].path) })
    }
    let (training, validation) = (kept(training), kept(validation))
    let empty = zip(training.classes, training.counts).filter { $0.1 == 0 }.map(\.0)
    guard empty.isEmpty else {
      throw ImageError.emptyClasses(folder: training.path, empty)
    }
    guard !validation.samples.isEmpty else {
      throw ImageError.emptyClasses(folder: validation.path, validation.classes)
    }
    return TrainingImages(self, training: training, validation: validation)
  }

  private init(_ other: TrainingImages, training: ImageFolder, validation: ImageFolder) {
    self.training = training
    self.validation = validation
    validationSource = other.validationSource
    unsplitClasses = other.unsplitClasses
  }
}
