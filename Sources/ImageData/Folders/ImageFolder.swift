internal import CkptPlatform

/// A folder of images with one subfolder per class, read as torchvision's `ImageFolder` reads it.
///
/// The classes are the subfolders (links are followed, hidden ones are included), sorted by the
/// code points of their names. The images of a class are all files in its folder, at any depth,
/// with the ending `.jpg`, `.jpeg`, `.png`, `.ppm`, `.bmp`, `.pgm`, `.tif`, `.tiff`, or `.webp`, in
/// any case; sorted by the path of their folder, then by name.
public struct ImageFolder: Sendable, Hashable {
  /// An image and its class.
  public struct Sample: Sendable, Hashable {
    /// The path of the file.
    public let path: String
    /// The index of the class.
    public let label: Int

    /// Creates a sample.
    public init(path: String, label: Int) {
      self.path = path
      self.label = label
    }
  }

  /// The file name endings of images.
  public static let endings = [
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
  ]

  /// The path of the folder.
  public let path: String
  /// The names of the classes; a label is an index in them.
  public let classes: [String]
  /// The images, class by class.
  public let samples: [Sample]

  /// Finds the images in a folder.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - classes: the expected classes, such as those of the training folder; nil: those that are
  ///     found.
  ///   - allowsEmptyClasses: whether a class may have no images, or no folder.
  /// - Throws: `ImageError.noClasses`, `.differentClasses`, `.emptyClasses`, or `.unreadable`.
  public init(
    _ path: String, classes: [String]? = nil, allowsEmptyClasses: Bool = false
  ) throws(ImageError) {
    let names = try Self.names(in: path)
    let found = names.filter { Folder.exists(at: path + "/" + $0) }
    guard !found.isEmpty else { throw .noClasses(folder: path) }
    if let classes {
      // A class that may be empty may also have no folder.
      let missing = allowsEmptyClasses ? [] : classes.filter { !found.contains($0) }
      let unknown = found.filter { !classes.contains($0) }
      guard missing.isEmpty, unknown.isEmpty else {
        throw .differentClasses(folder: path, missing: missing, unknown: unknown)
      }
    }
    let wanted = classes ?? found
    var samples: [Sample] = []
    var empty: [String] = []
    for (label, name) in wanted.enumerated() {
      let before = samples.count
      if found.contains(name) {
        for file in try Self.images(below: path + "/" + name) {
          samples.append(Sample(path: file, label: label))
        }
      }
      if samples.count == before { empty.append(name) }
    }
    guard empty.isEmpty || allowsEmptyClasses else {
      throw .emptyClasses(folder: path, empty)
    }
    self.init(path: path, classes: wanted, samples: samples)
  }

  /// Creates a folder from known samples; nothing is read.
  public init(path: String, classes: [String], samples: [Sample]) {
    self.path = path
    self.classes = classes
    self.samples = samples
  }

  private static func names(in path: String) throws(ImageError) -> [String] {
    do throws(FileError) {
      return try Folder(path).names
    } catch {
      throw .unreadable(file: path, error.problem)
    }
  }

  /// The images below a folder: all folders by path, the files of each by name.
  ///
  /// - Throws: `ImageError.unreadable` for a folder that cannot be listed.
  public static func images(below folder: String) throws(ImageError) -> [String] {
    var waiting = [[folder]]
    var visited: [(path: String, files: [String])] = []
    while let way = waiting.popLast() {
      guard let path = way.last else { continue }
      var files: [String] = []
      for name in try names(in: path) {
        let inside = path + "/" + name
        guard Folder.exists(at: inside) else {
          if isPicture(name) { files.append(inside) }
          continue
        }
        // A link to a parent folder is not followed again.
        guard !way.contains(where: { Folder.isSame($0, inside) }) else { continue }
        waiting.append(way + [inside])
      }
      visited.append((path, files))
    }
    return visited.sorted { $0.path.utf8.lexicographicallyPrecedes($1.path.utf8) }
      .flatMap(\.files)
  }

  private static func isPicture(_ name: String) -> Bool {
    let name = name.lowercased()
    return endings.contains { name.hasSuffix($0) }
  }

  /// The number of images in each class.
  public var counts: [Int] {
    samples.reduce(into: [Int](repeating: 0, count: classes.count)) { counts, sample in
      if counts.indices.contains(sample.label) { counts[sample.label] += 1 }
    }
  }

  /// A folder with the images at the given indices; invalid indices are ignored.
  public func subset(_ places: [Int]) -> ImageFolder {
    ImageFolder(
      path: path, classes: classes,
      samples: places.filter { samples.indices.contains($0) }.map { samples[$0] })
  }

  /// Splits the images at random into two folders, class by class: of each class with at least two
  /// images, the fraction `secondPart`, rounded half to even, but at least one and not all, goes to
  /// the second. A class with one image stays in the first.
  ///
  /// Both keep the order of the images.
  public func split(secondPart: Double, seed: UInt64) -> (first: ImageFolder, second: ImageFolder) {
    var isSecond = [Bool](repeating: false, count: samples.count)
    for label in classes.indices {
      let places = samples.indices.filter { samples[$0].label == label }
      guard places.count > 1, secondPart > 0 else { continue }
      let part = (Double(places.count) * min(1, secondPart)).rounded(.toNearestOrEven)
      let count = max(1, min(places.count - 1, Int(part)))
      var random = ImageRandom(seed: seed, epoch: label, index: -2)
      for place in random.permutation(places.count).prefix(count) { isSecond[places[place]] = true }
    }
    return (
      subset(samples.indices.filter { !isSecond[$0] }),
      subset(samples.indices.filter { isSecond[$0] })
    )
  }
}
