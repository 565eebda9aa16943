import CkptTestSupport
import Foundation
import ImageData
import Testing

@Suite struct ImageFolderTests {
  /// Makes a folder of empty files; only their names matter.
  private func folder(_ names: [String]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for name in names {
      let path = folder.file(name)
      try FileManager.default.createDirectory(
        at: URL(filePath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data().write(to: URL(filePath: path))
    }
    return folder
  }

  private func names(_ found: ImageFolder) -> [String] {
    found.samples.map { String($0.path.dropFirst(found.path.count + 1)) }
  }

  @Test func `Classes and files come in Python's order`() throws {
    let folder = try folder([
      "b/2.png", "b/10.png", "B/x.JPG", "10/a.webp", "2/a.tiff", ".hidden/a.bmp", "é/a.ppm",
      "b/notes.txt", "top.png", "b/a.jpegs", "b/.png",
    ])
    let found = try ImageFolder(folder.path)
    #expect(found.classes == [".hidden", "10", "2", "B", "b", "é"])
    #expect(
      names(found) == [
        ".hidden/a.bmp", "10/a.webp", "2/a.tiff", "B/x.JPG", "b/.png", "b/10.png", "b/2.png",
        "é/a.ppm",
      ])
    #expect(found.samples.map(\.label) == [0, 1, 2, 3, 4, 4, 4, 5])
    #expect(found.counts == [1, 1, 1, 1, 3, 1])
  }

  /// Python sorts the folders of `os.walk` by their whole paths: "-" comes before "/".
  @Test func `Folders within a class come in the order of their paths`() throws {
    let folder = try folder(["c/a/1.png", "c/a-b/1.png", "c/z.png", "c/a/b/0.png"])
    #expect(
      names(try ImageFolder(folder.path))
        == ["c/z.png", "c/a/1.png", "c/a-b/1.png", "c/a/b/0.png"])
  }

  @Test func `Links are followed, and those that lead back are not`() throws {
    let folder = try folder(["real/1.png", "c/2.png"])
    let files = FileManager.default
    try files.createSymbolicLink(
      atPath: folder.file("linked"), withDestinationPath: folder.file("real"))
    try files.createSymbolicLink(
      atPath: folder.file("c/up"), withDestinationPath: folder.path)
    try files.createSymbolicLink(
      atPath: folder.file("c/broken.png"), withDestinationPath: folder.file("nowhere"))
    let found = try ImageFolder(folder.path)
    #expect(found.classes == ["c", "linked", "real"])
    #expect(names(found).contains("linked/1.png"))
    #expect(
      names(found).filter { $0.hasPrefix("c/") && !$0.hasPrefix("c/up") }
        == ["c/2.png", "c/broken.png"].sorted())
    #expect(found.samples.count < 20)
  }

  @Test func `Folders without classes, and classes without pictures, are errors that name them`()
    throws
  {
    let none = try folder(["a.png"])
    #expect(throws: ImageError.noClasses(folder: none.path)) { try ImageFolder(none.path) }
    let empty = try folder(["full/a.png", "empty/a.txt"])
    #expect(throws: ImageError.emptyClasses(folder: empty.path, ["empty"])) {
      try ImageFolder(empty.path)
    }
    #expect(try ImageFolder(empty.path, allowsEmptyClasses: true).counts == [0, 1])
    let missing = none.file("missing")
    let reason = "cannot list the folder: No such file or directory"
    #expect(throws: ImageError.unreadable(file: missing, reason)) {
      try ImageFolder(missing)
    }
  }

  @Test func `Other classes than the training's are an error`() throws {
    let folder = try folder(["a/1.png", "c/1.png"])
    let error = ImageError.differentClasses(folder: folder.path, missing: ["b"], unknown: ["c"])
    #expect(throws: error) { try ImageFolder(folder.path, classes: ["a", "b"]) }
    #expect(error.description.hasPrefix("other classes: missing \"b\"; unknown \"c\""))
    #expect(try ImageFolder(folder.path, classes: ["c", "a"]).samples.map(\.label) == [0, 1])
    // A class that may be empty is not missing.
    let unknown = ImageError.differentClasses(folder: folder.path, missing: [], unknown: ["c"])
    #expect(throws: unknown) {
      try ImageFolder(folder.path, classes: ["a", "b"], allowsEmptyClasses: true)
    }
    #expect(
      try ImageFolder(folder.path, classes: ["a", "b", "c"], allowsEmptyClasses: true).counts
        == [1, 0, 1])
  }

  @Test func `A split keeps the share of each class and depends on the seed alone`() throws {
    let samples = (0..<103).map {
      ImageFolder.Sample(path: "\($0)", label: $0 < 60 ? 0 : $0 < 102 ? 1 : 2)
    }
    let folder = ImageFolder(path: "x", classes: ["a", "b", "c"], samples: samples)
    let (first, second) = folder.split(secondPart: 0.3, seed: 7)
    #expect(second.counts == [18, 13, 0] && first.counts == [42, 29, 1])
    #expect(Set(first.samples).isDisjoint(with: second.samples))
    #expect(folder.split(secondPart: 0.3, seed: 7).second == second)
    #expect(folder.split(secondPart: 0.3, seed: 8).second != second)
    #expect(folder.split(secondPart: 0.0001, seed: 7).second.counts == [1, 1, 0])
  }
}
