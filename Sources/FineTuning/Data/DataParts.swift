internal import CkptPlatform

/// The folders `train` and `val` (or `test`) in a folder of images.
struct DataParts {
  /// The path of `train`; nil if there is no such folder.
  let training: String?
  /// The path of `val`, or of `test` if there is no `val`; nil if there is neither.
  let validation: String?

  /// Looks for the folders in `path`.
  init(of path: String) {
    func found(_ names: String...) -> String? {
      names.map { path + "/" + $0 }.first(where: Folder.exists)
    }
    training = found("train")
    validation = found("val", "test")
  }
}
