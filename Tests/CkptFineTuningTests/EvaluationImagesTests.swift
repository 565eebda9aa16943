import CkptTestSupport
import FineTuning
import Foundation
import ImageData
import Testing

struct EvaluationImagesTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A run on a folder with the pictures in these folders inside, or in itself.
  private func saved(on data: String, _ parts: [String], share: Double? = nil) throws
    -> (FineTunedFile, TrainedImages)
  {
    let files = FileManager.default
    for part in parts {
      try files.createDirectory(
        atPath: folder.file(data), withIntermediateDirectories: true)
      try files.copyItem(atPath: TuningSetup.shapes, toPath: folder.file(data + "/" + part))
    }
    let tuner = try TuningSetup.tuner(
      TuningSetup.options {
        $0.data = folder.file(data)
        $0.validationShare = share
        $0.seed = 3
      })
    let run = RunFolder(folder.file(data + "-run"))
    try run.begin(tuner, replacing: false)
    return (
      try FineTunedFile(contentsOf: run.file("last.pt")),
      TrainedImages(tuner.images.training.samples.map(\.path), tuner.images.classes)
    )
  }

  /// The images that a run was trained on.
  private struct TrainedImages {
    let paths: Set<String>
    let classes: [String]

    init(_ paths: [String], _ classes: [String]) {
      (self.paths, self.classes) = (Set(paths), classes)
    }

    /// How many images are taken, how many of these the run was trained on, and whether they are called held out.
    func counts(_ data: String, _ saved: FineTunedFile, takesAll: Bool = false) throws -> [Int] {
      let found = try EvaluationImages(data, of: saved, classes: classes, takesAll: takesAll)
      let samples = found.folder.samples
      return [samples.count, samples.count { paths.contains($0.path) }, found.isHeldOut ? 1 : 0]
    }
  }

  @Test func `Images that were split off are found again, and no others are called held out`()
    throws
  {
    let (file, trained) = try saved(on: "split", ["train"], share: 0.5)
    #expect(try trained.counts(folder.file("split"), file) == [18, 0, 1])
    #expect(try trained.counts(folder.file("split/train"), file) == [18, 0, 1])
    #expect(try trained.counts(folder.file("split/train"), file, takesAll: true) == [36, 18, 0])
    #expect(try trained.counts(TuningSetup.shapes, file) == [36, 0, 0])
  }

  @Test func `Where the images are others by now, none are called held out`() throws {
    let (file, trained) = try saved(on: "split", ["train"], share: 0.5)
    try FileManager.default.copyItem(
      atPath: folder.file("split/train/circle/00.png"),
      toPath: folder.file("split/train/circle/99.png"))
    #expect(try trained.counts(folder.file("split/train"), file) == [37, 18, 0])
  }

  @Test func `A folder of validation images goes before all else`() throws {
    let (file, trained) = try saved(on: "both", ["train", "val"])
    #expect(try trained.counts(folder.file("both"), file) == [36, 0, 1])
    #expect(try trained.counts(folder.file("both/train"), file) == [36, 36, 0])
  }

  @Test(arguments: [["val"], ["test"], ["val", "test"]])
  func `Training and evaluation choose the same folder of validation images`(_ names: [String])
    throws
  {
    let (file, trained) = try saved(on: "data", ["train"] + names)
    let data = folder.file("data")
    let wanted = data + "/" + names[0]
    #expect(try TrainingImages(data).validationSource == .folder(wanted))
    let found = try EvaluationImages(data, of: file, classes: trained.classes)
    #expect(found.folder.path == wanted)
    #expect(found.isHeldOut)
  }

  @Test func `Of a folder with other classes, only those that the model lacks are named`() throws {
    let (file, trained) = try saved(on: "data", ["train", "val"])
    let files = FileManager.default
    try files.removeItem(atPath: folder.file("data/val/circle"))
    #expect(try trained.counts(folder.file("data"), file) == [24, 0, 1])
    try files.moveItem(
      atPath: folder.file("data/val/square"), toPath: folder.file("data/val/box"))
    #expect(
      throws: ImageError.differentClasses(
        folder: folder.file("data/val"), missing: [], unknown: ["box"])
    ) { try trained.counts(folder.file("data"), file) }
  }
}
