import CkptTestSupport
import FineTuning
import Foundation
import ImageData
import Testing

struct TrainingImagesTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Puts copies of a picture into a folder.
  private func fill(_ name: String, _ count: Int) throws {
    let path = folder.file(name)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for number in 0..<count {
      try FileManager.default.copyItem(
        atPath: TuningSetup.shapes + "/circle/00.png", toPath: path + "/\(number).png")
    }
  }

  @Test func `A part of each class is split off`() throws {
    let images = try TrainingImages(TuningSetup.shapes)
    #expect(images.training.counts == [10, 10, 10])
    #expect(images.validation.counts == [2, 2, 2])
    let paths = Set(images.training.samples.map(\.path))
    #expect(images.validation.samples.allSatisfy { !paths.contains($0.path) })
    let other = try TrainingImages(TuningSetup.shapes, share: 0.5, seed: 1)
    #expect(other.validation.counts == [6, 6, 6])
  }

  @Test func `Folders of their own are taken; a share beside them is refused`() throws {
    for part in ["train", "test"] { for name in ["a", "b"] { try fill("\(part)/\(name)", 2) } }
    let images = try TrainingImages(folder.path)
    #expect(images.validationSource == .folder(folder.path + "/test"))
    #expect(images.training.counts == [2, 2])
    #expect(throws: FineTuningError.validationExists(folder: folder.path + "/test")) {
      try TrainingImages(folder.path, share: 0.2)
    }
  }

  @Test func `Without validation images it is an error, unless a part is split off`() throws {
    for name in ["a", "b"] { try fill("train/\(name)", 4) }
    #expect(throws: FineTuningError.noValidation(folder: folder.path)) {
      try TrainingImages(folder.path)
    }
    #expect(try TrainingImages(folder.path, share: 0.25).validation.counts == [1, 1])
  }

  @Test func `Other classes in the validation's folder are named`() throws {
    for name in ["train/a", "train/b", "val/a", "val/c"] { try fill(name, 2) }
    #expect(
      throws: ImageError.differentClasses(
        folder: folder.path + "/val", missing: ["b"], unknown: ["c"])
    ) { try TrainingImages(folder.path) }
  }

  @Test func `A class of one image cannot be split`() throws {
    try fill("a", 4)
    try fill("b", 1)
    #expect(throws: FineTuningError.classesTooSmall(folder: folder.path, classes: ["b"])) {
      try TrainingImages(folder.path)
    }
    let images = try TrainingImages(folder.path, keepsUnsplit: true)
    #expect(images.unsplitClasses == ["b"])
    #expect(images.training.counts == [3, 1])
  }

  @Test func `Files that are no images are found before training`() throws {
    for name in ["a", "b"] { try fill(name, 4) }
    _ = try folder.write(Array("text".utf8), to: "a/9.jpg")
    _ = try folder.write([], to: "b/9.png")
    let images = try TrainingImages(folder.path)
    let unreadable = images.unreadable(by: ImageDecoder())
    #expect(
      Set(unreadable.map { $0.path.dropFirst(folder.path.count) }) == ["/a/9.jpg", "/b/9.png"])
    let kept = try images.without(unreadable)
    #expect(kept.training.samples.count + kept.validation.samples.count == 8)
  }
}
