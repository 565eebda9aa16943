internal import CkptPlatform
package import ImageData

/// The images of a folder on which a fine-tuned model is evaluated: those that it was not trained on, where that is known.
package struct EvaluationImages {
  /// The images.
  package let folder: ImageFolder
  /// Whether they were held out from training, as far as the folder and the checkpoint tell.
  package let isHeldOut: Bool

  /// Finds the images: of a folder with `val` or `test` in it these; of the folder that the model was trained on those
  /// that were split off, if its images are still the same; else all.
  ///
  /// - Parameters:
  ///   - data: the folder.
  ///   - saved: the checkpoint of the fine-tuning.
  ///   - classes: the names of the model's classes.
  ///   - takesAll: whether all images are taken, `data` being a folder of classes.
  /// - Throws: `ImageError` for a folder with other classes; ``FineTuningError`` where the split cannot be made again.
  package init(
    _ data: String, of saved: FineTunedFile, classes: [String], takesAll: Bool = false
  ) throws {
    if !takesAll {
      if let own = ["val", "test"].map({ data + "/" + $0 }).first(where: Folder.exists) {
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
        if images.classes == classes, try saved.wasTrained(on: images) {
          folder = images.validation
          isHeldOut = true
          return
        }
      }
    }
    folder = try ImageFolder(data, classes: classes, allowsEmptyClasses: true)
    isHeldOut = false
  }

  /// Whether images of this folder were split off for validation.
  private static func isSplit(_ data: String, by options: FineTuningOptions) -> Bool {
    // Of a folder `train` a part was split off only if a share was given.
    Folder.isSame(options.data, data)
      || options.validationShare != nil && Folder.isSame(options.data + "/train", data)
  }
}
