internal import CkptPlatform
internal import CkptText

/// The files of a model: a folder with all below it, or some files with the folder that they have
/// in common.
struct ModelFiles {
  /// The path of the folder.
  let root: String
  private var folders: [ExactText: Folder] = [:]

  /// The maximum depth of folders.
  private static let depthLimit = 64

  init(root: String) { self.root = root }

  /// The folder at a path relative to the root, which is empty for the root itself.
  private mutating func folder(_ path: String) throws -> Folder {
    if let known = folders[ExactText(path)] { return known }
    let found: Folder
    if path.isEmpty {
      found = try Folder(root)
    } else {
      let (parent, name) = Self.split(path)
      found = try folder(parent).subfolder(name)
    }
    folders[ExactText(path)] = found
    return found
  }

  private static func split(_ path: String) -> (parent: String, name: String) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", path) }
    return (String(path[..<slash]), String(path[path.utf8.index(after: slash)...]))
  }

  /// Whether a path is relative and stays below the root, however the file system is made up.
  static func isBelow(_ path: String) -> Bool {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    return parts.count <= depthLimit && parts.allSatisfy(Folder.isPlain)
  }

  /// Opens a file; nil if it is missing.
  ///
  /// - Throws: `FileError` of kind `.badInput` for a link that leads outside the folder; of kind
  ///   `.cannotOpen` for a file that is there, but cannot be opened.
  mutating func open(_ path: String) throws -> File? {
    let (parent, name) = Self.split(path)
    guard Folder.byteCount(ofFileAt: root + "/" + path) != nil else { return nil }
    return try folder(parent).open(name)
  }

  /// The paths of all files, relative to the root, and whether a link was followed.
  ///
  /// - Parameter isLeftOut: whether a file or folder, with all below it, is left out.
  /// - Throws: `FileError`, also for what is neither a file nor a folder, and for links to folders.
  mutating func all(
    leavingOut isLeftOut: (String) -> Bool
  ) throws -> (paths: [String], followsLinks: Bool) {
    var (paths, followsLinks) = ([String](), false)
    var open = [""]
    while let path = open.popLast() {
      for name in try folder(path).names {
        let inner = path.isEmpty ? name : path + "/" + name
        guard !isLeftOut(inner) else { continue }
        let whole = root + "/" + inner
        let isLink = Folder.isLink(at: whole)
        if Folder.byteCount(ofFileAt: whole) != nil {
          paths.append(inner)
          if isLink { followsLinks = true }
        } else if Folder.exists(at: whole), !isLink {
          guard Self.isBelow(inner) else {
            throw FileError(.badInput, "folders nest too deeply", path: whole)
          }
          open.append(inner)
        } else {
          throw FileError(
            .badInput,
            isLink
              ? "is a link to a folder, or to nothing" : "is neither a file nor a folder",
            path: whole)
        }
      }
    }
    return (paths, followsLinks)
  }
}
