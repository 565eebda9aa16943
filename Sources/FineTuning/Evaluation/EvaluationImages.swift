internal import CkptPlatform
package import ImageData

/// The images on which a fine-tuned model is evaluated: those of a folder that it was not trained
/// on, if that can be told.
package struct EvaluationImages {
  /// The images.
  package let folder: ImageFolder
  /// Whether the images were held out from the training: they are in a folder `val` or `test`, or
  /// were split off from the training's folder.
  package let isHeldOut: Bool

  /// Finds the images.
  ///
  /// 1. If there is a folder `val`, or else `test`, in `data`: the images in it.
  /// 2. If `data` is the folder that the model was trained on, or the folder `train` in it, and has
  ///    the same images as then: those that were split off for validation.
  /// 3. Otherwise all images of `data`.
  ///
  /// - Parameters:
  ///   - data: the folder.
  ///   - saved: the checkpoint of the fine-tuning.
  ///   - classes: the names of the model's classes; the folder may lack some of them.
  ///   - takesAll: whether all images of `data`, a folder of classes, are taken in any case.
  /// - Throws: `ImageError` if a folder has classes that the model lacks, or cannot be listed;
  ///   ``FineTuningError`` if the split cannot be repeated.
  package init(
    _ data: String, of saved: FineTunedFile, classes: [String], takesAll: Bool = false
  ) throws {
    if !takesAll {
      if let own = DataParts(of: data).validation {
        folder = try ImageFolder(own, classes: classes, allowsEmptyClasses: true)
        isHeldOut = true
        return
      }
      if let options = try? saved.options(), Self.isSplit(data, by: options) {
        var images = try TrainingImages(
          data, share: options.validationShare, seed: options.seed, keepsUnsplit: options.skipsBad)
        if options.skipsBad {
          images = try images.without(images.unreadable(by: Preprocessing(options).decoder))
        }
        if images.classes == classes, saved.wasTrained(on: images) {
          folder = images.validation
          isHeldOut = true
          return
        }
      }
    }
    folder = try ImageFolder(data, classes: classes, allowsEmptyClasses: true)
    isHeldOut = false
  }

  /// Whether a part of the images in this folder was split off for validation.
  private static func isSplit(_ data: String, by options: FineTuningOptions) -> Bool {
    // Images of a folder `train` are split only if a share is given.
    if Folder.isSame(options.data, data) { return true }
    guard options.validationShare != nil, let train = DataParts(of: options.data).training else {
      return false
    }
    return Folder.isSame(train, data)
  }
}
