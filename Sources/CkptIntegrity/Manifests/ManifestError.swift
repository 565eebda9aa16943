internal import CkptText
package import CkptPlatform

/// An error in a manifest, a pointer of Git LFS, or in their use.
package enum ManifestError: Diagnostic, Equatable {
  /// The file is no manifest, or a damaged one.
  case badManifest(file: String, String)
  /// The manifest uses another hash function than SHA-256.
  case otherHash(file: String, String)
  /// The manifest does not list the file that is to be verified.
  case notListed(file: String, manifest: String)
  /// The manifest describes one file rather than a folder, and a folder was given.
  case describesFile(manifest: String)
  /// The text is no pointer of Git LFS.
  case badPointer(file: String, String)
  /// The file is not in a cache of the Hub that records digests.
  case notInCache(file: String)

  /// The category of the error, from which `ckpt` takes its exit status.
  package var kind: DiagnosticKind {
    switch self {
    case .notInCache, .describesFile: .usage
    default: .badInput
    }
  }

  /// One line that says what is wrong and where.
  package var description: String {
    switch self {
    case .badManifest(let file, let problem): "\(problem) (\(file))"
    case .otherHash(let file, let name):
      "the manifest's digests are \(Text.printable(name)), and only sha256 is computed (\(file))"
    case .notListed(let file, let manifest): "\(manifest) does not list the file (\(file))"
    case .describesFile(let manifest):
      "the manifest describes one file, without its name (\(manifest))"
    case .badPointer(let file, let problem): "\(problem) (\(file))"
    case .notInCache(let file):
      "the file is not in a cache of the Hub, whose names are digests (\(file))"
    }
  }

  /// What the caller can do about the error.
  package var remedies: [Remedy] {
    switch self {
    case .badManifest:
      ["make the manifest anew, here or with the package model-signing"]
    case .otherHash: ["sign the model with SHA-256 as its hash algorithm"]
    case .notListed: ["name the folder that the manifest describes"]
    case .describesFile: ["name the file"]
    case .badPointer:
      ["a pointer is the text that Git LFS stores: version, oid sha256:…, size"]
    case .notInCache: ["give a pointer, or sha256: and the digits that the Hub shows"]
    }
  }
}
