public import ImageData
internal import CkptPlatform

/// The images of a fine-tuning: those that are trained on and those that are evaluated.
public struct TrainingImages: Sendable {
  /// Where the validation images come from.
  public enum ValidationSource: Sendable, Hashable {
    /// A folder of their own, by its path.
    case folder(String)
    /// A part of each class, from 0 to 1, split off by the seed.
    case split(Double)
  }

  /// The images that are trained on.
  public let training: ImageFolder
  /// The images that are evaluated after each epoch.
  public let validation: ImageFolder
  /// Where the validation images come from.
  public let validationSource: ValidationSource
  /// Classes of one image, which has no counterpart in the validation images.
  public let unsplitClasses: [String]

  /// The part of each class that is split off unless told otherwise.
  public static let usualShare = 0.2

  /// Finds the images of a folder: in `train` and `val` (or `test`) if there is a folder `train` in it, else in one
  /// folder a class, of which a part is split off for validation.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - share: the part of each class that becomes validation images, above 0 and below 1; nil for
  ///     ``usualShare`` where a part must be split off.
  ///   - seed: decides which images are split off.
  ///   - keepsUnsplit: whether a class of one image, which cannot be split, is trained on without being evaluated,
  ///     rather than an error.
  /// - Throws: `ImageError` for folders without classes, empty classes and other classes in the validation's folder;
  ///   ``FineTuningError`` where there are no validation images.
  public init(_ path: String, share: Double? = nil, seed: UInt64 = 0, keepsUnsplit: Bool = false)
    throws
  {
    if let share, !(share > 0 && share < 1) {
      throw FineTuningError.badOption(
        name: "the share of validation images", problem: "\(share) is not between 0 and 1")
    }
    let train = path + "/train"
    let hasTrain = Folder.exists(at: train)
    let all = try ImageFolder(hasTrain ? train : path)
    if hasTrain, let own = ["val", "test"].map({ path + "/" + $0 }).first(where: Folder.exists) {
      guard share == nil else { throw FineTuningError.validationExists(folder: own) }
      training = all
      validation = try ImageFolder(own, classes: all.classes)
      validationSource = .folder(own)
      unsplitClasses = []
      return
    }
    guard !hasTrain || share != nil else { throw FineTuningError.noValidation(folder: path) }
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

  /// Reads every file's header, so that what is no image is found before the training rather than in it.
  ///
  /// - Parameter decoder: how files are decoded.
  /// - Returns: the files whose headers cannot be read, and why.
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

  /// The same images without some files.
  ///
  /// - Throws: `ImageError.emptyClasses` if no image of a class is left to train on, or none at all to evaluate.
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
