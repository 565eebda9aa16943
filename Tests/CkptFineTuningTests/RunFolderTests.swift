import ImageData
import ModelZoo
import CkptPlatform
import CkptStateDicts
import CkptTestSupport
import FineTuning
import Foundation
import StateDictKit
import Testing

struct RunFolderTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func run(_ name: String) throws -> (RunFolder, FineTuner) {
    let run = RunFolder(folder.file(name))
    let tuner = try TuningSetup.tuner(TuningSetup.options { $0.epochs = 1 })
    try run.begin(tuner, replacing: false)
    _ = try tuner.run { try run.save(tuner, isBest: $0) }
    try run.writeReport(tuner)
    return (run, tuner)
  }

  @Test func `Options come back from args.yml as they were`() throws {
    let options = TuningSetup.options {
      $0.data = "a \"b\"\n: c"
      $0.train = ["under:fc", "re:^a$"]
      $0.learningRates = ["x=0.1"]
      $0.ema = 0.999
      $0.maxTime = 60
      $0.schedule = .step(size: 3, gamma: 0.25)
      $0.seed = 1 << 40
    }
    let copy = try FineTuningOptions(arguments: options.arguments, from: "x")
    #expect(copy == options)
    #expect(copy.differences(from: options).isEmpty)
    var other = options
    other.epochs += 1
    #expect(other.differences(from: options) == ["epochs"])
  }

  @Test func `A run holds its files, and only a run is replaced`() throws {
    let (run, tuner) = try run("run")
    let names = Set(try FileManager.default.contentsOfDirectory(atPath: run.path))
    #expect(
      names.isSuperset(of: [
        "args.yml", "best.pt", "classes.txt", "last.pt", "metrics.csv", "report.html",
      ]))
    #expect(names.count == 7 && names.contains { $0.hasPrefix("events.out.tfevents.") })
    #expect(throws: FileError.self) { try run.checkIsFree(replacing: false) }
    try run.checkIsFree(replacing: true)
    _ = try folder.write([1], to: "run/notes.txt")
    #expect(throws: FineTuningError.self) { try run.begin(tuner, replacing: true) }
    #expect(FileManager.default.fileExists(atPath: run.file("best.pt")))
    try FileManager.default.createDirectory(
      atPath: folder.file("other"), withIntermediateDirectories: false)
    _ = try folder.write([1], to: "other/file")
    #expect(throws: FineTuningError.self) {
      try RunFolder(folder.file("other")).checkIsFree(replacing: true)
    }
    #expect(throws: FileError.self) {
      try RunFolder(folder.file("no/such/place")).checkIsFree(replacing: false)
    }
  }

  @Test func `A run stays as it is until the first files of another are written`() throws {
    let (run, _) = try run("run")
    let next = try TuningSetup.tuner(TuningSetup.options { $0.epochs = 2 })
    let before = try FileManager.default.contentsOfDirectory(atPath: run.path).sorted()
    let old = try Data(contentsOf: URL(fileURLWithPath: run.file("last.pt")))
    // Nothing can be created beside the run.
    let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o555]
    try FileManager.default.setAttributes(attributes, ofItemAtPath: folder.path)
    if !FileManager.default.isWritableFile(atPath: folder.path) {
      #expect(throws: FileError.self) { try run.begin(next, replacing: true) }
      #expect(try Data(contentsOf: URL(fileURLWithPath: run.file("last.pt"))) == old)
    }
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.path)
    #expect(try FileManager.default.contentsOfDirectory(atPath: run.path).sorted() == before)
    try run.begin(next, replacing: true)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: run.path).sorted() == [
        "args.yml", "classes.txt", "last.pt", "metrics.csv",
      ])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["run"])
  }

  @Test func `A checkpoint without what a fine-tuned one has is refused`() throws {
    let path = folder.file("a.pt")
    try Checkpoint(StateDict()).write(to: path)
    #expect(throws: FineTuningError.self) { try FineTunedFile(contentsOf: path).classifier() }
    try Checkpoint(.dict(["classes": .list([.string("a")]), "model": .int(1)])).write(
      to: path, replacingExisting: true)
    #expect(throws: FineTuningError.self) { try FineTunedFile(contentsOf: path).classifier() }
  }

  @Test func `The best weights are evaluated and predict as they did while training`() throws {
    let (run, tuner) = try run("run")
    let classifier = try FineTunedFile(contentsOf: run.file("best.pt")).classifier()
    #expect(classifier.classes == ["circle", "square", "triangle"])
    let (evaluation, omissions) = try Evaluator(
      tuner.images.validation, classifier.preprocessing, batchSize: 8
    ).evaluate(classifier.model.module)
    #expect(evaluation == tuner.bestEvaluation)
    #expect(omissions.isEmpty)
    var predictions: [Predictor.Prediction] = []
    try Predictor(classifier, batchSize: 8).predict(
      tuner.images.validation.samples.map(\.path), top: 2
    ) { predictions += $0 }
    #expect(predictions.map { $0.top.first?.index } == evaluation.predictions.map(\.predicted))
    #expect(predictions.allSatisfy { $0.top.count == 2 && $0.logits.count == 3 })
  }
}
