package import CkptText

/// The SHA-256 of every file of a model, and of the contents of every tensor in them.
///
/// As text it is an in-toto statement with the predicate of model-signing
/// (`https://model_signing/signature/v1.0`), which that package signs and verifies. The tensors'
/// digests are an additional member of the predicate, which the package ignores.
package struct ModelManifest: Sendable {
  /// A file, or a part of one.
  package struct Resource: Sendable, Hashable {
    /// The file's path relative to the model's folder, with `/`; `.` if the model is one file.
    package let file: String
    /// The byte range; nil for the whole file.
    package let range: Range<Int>?
    /// The SHA-256 in hexadecimal digits.
    package let sha256: String
  }

  /// The tensors of a checkpoint.
  package struct Contents: Sendable {
    /// The path of the file or folder relative to the model's folder; `.` is that folder.
    package let checkpoint: String
    /// The digest of each tensor by the path of the object, as `ckpt hash` computes it.
    package let digests: [ExactText: String]
  }

  /// The model's name: that of its folder. It does not matter for the verification.
  package var name: String
  /// The files, in the order of the parts of their paths.
  package var resources: [Resource]
  /// The checkpoints among the files.
  package var contents: [Contents] = []
  /// Paths relative to the model's folder of files and folders that do not belong to the model.
  package var ignored: [String] = []
  /// Whether the manifest lists all files of the folder, so that others are additional.
  package var coversFolder = true
  /// Whether symbolic links were followed.
  package var followsLinks = false
  /// Whether the manifest was read from a signature.
  package var isSigned = false

  /// The type of the statement.
  static let statementType = "https://in-toto.io/Statement/v1"
  /// The type of the predicate, by which model-signing recognizes a statement.
  static let predicateType = "https://model_signing/signature/v1.0"
  /// The type of the predicate of model-signing 0.2, whose subjects are the files.
  static let oldPredicateType = "https://model_signing/Digests/v0.1"
  /// What model-signing leaves out of a folder if nothing else is said.
  static let usuallyIgnored = [".git", ".gitattributes", ".github", ".gitignore"]

  /// Whether a path is one of ``ignored``, or in such a folder.
  func isIgnored(_ path: String) -> Bool {
    ignored.contains { path.isExactly($0) || path.utf8.starts(with: ($0 + "/").utf8) }
  }

  /// Sorts the files as model-signing does: by the parts of their paths.
  static func precedes(_ one: Resource, _ other: Resource) -> Bool {
    let parts = { (name: String) in name.split(separator: "/").map { Array($0.utf8) } }
    let (left, right) = (parts(one.file), parts(other.file))
    guard left == right else {
      return left.lexicographicallyPrecedes(right) { $0.lexicographicallyPrecedes($1) }
    }
    return (one.range?.lowerBound ?? 0) < (other.range?.lowerBound ?? 0)
  }
}
