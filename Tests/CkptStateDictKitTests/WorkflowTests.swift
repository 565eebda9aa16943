import CkptPatterns
import Foundation
import StateDictKit
import CkptTestSupport
import Testing

// The examples of Sources/StateDictKit/StateDictKit.docc/Workflow/*.md: what stands between the marks is what the documents show, word for word.
@Suite("The workflow's examples run as the documents show them")
struct WorkflowTests {
  let folder: TemporaryFolder
  /// The example's files: `demo.pt` is a trained `DataParallel` model under "model", `fresh.pt` a new one with ten classes.
  let demo = Fixtures.path("demo.pt")
  let fresh = Fixtures.path("demo_fresh.pt")

  init() throws { folder = try TemporaryFolder() }

  private func path(_ name: String) -> String {
    name == "demo.pt" ? demo : name == "fresh.pt" ? fresh : folder.file(name)
  }

  @Test("W1")
  func w1() throws {
    // begin W1
    let checkpoint = try Checkpoint(contentsOf: path("demo.pt"))
    let stateDict = try checkpoint.stateDict(at: "model")
    for (key, tensor) in stateDict.tensors {
      print(key, tensor.dtype.name, tensor.shape)
    }
    // end W1
    #expect(stateDict.count == 16 && checkpoint.format == .pytorchZip)
  }

  @Test("W2")
  func w2() throws {
    // begin W2
    let modelDict = try Checkpoint(contentsOf: path("fresh.pt")).stateDict()
    let classifier = modelDict["fc.weight"]
    // end W2
    #expect(classifier?.shape == [10, 8])
  }

  @Test("W3")
  func w3() throws {
    let stateDict = try Checkpoint(contentsOf: demo).stateDict(at: "model")
    // begin W3
    let backbone = try stateDict.filter(include: "module.", exclude: "fc")
    let convolutions = try stateDict.filter(
      include: "glob:**.{weight,bias}", exclude: #"re:\.fc\."#)
    let matrices = stateDict.filter { _, value in value.tensor?.shape.count == 4 }
    // end W3
    #expect(backbone.count == 14 && convolutions.count == 8 && matrices.count == 3)
  }

  @Test("W4")
  func w4() throws {
    let stateDict = try Checkpoint(contentsOf: demo).stateDict(at: "model")
    let modelDict = try Checkpoint(contentsOf: fresh).stateDict()
    // begin W4
    let pretrained = try stateDict.filter(exclude: "fc").renamingKeys(.stripPrefix("module."))
    var start = modelDict
    let report = try start.update(with: pretrained)
    try Checkpoint(start).write(to: path("start.pt"))
    // end W4
    #expect(report.replaced.count == 14)
    #expect(
      try start["conv1.weight"]?.hasSameBytes(as: #require(stateDict["module.conv1.weight"]))
        == true)
    #expect(try Checkpoint(contentsOf: path("start.pt")).stateDict().keys == modelDict.keys)
  }

  @Test("W5")
  func w5() throws {
    let stateDict = try Checkpoint(contentsOf: demo).stateDict(at: "model")
    let modelDict = try Checkpoint(contentsOf: fresh).stateDict()
    // begin W5
    let report = try stateDict.validate(against: modelDict)
    if !report.isLoadable {
      print("missing:", report.missing)
      print("unexpected:", report.unexpected)
      print("mismatched:", report.mismatched)
      print("loaded:", report.loaded, report.loadedShare)
    }
    if let suggestion = try stateDict.suggestedRenames(toFit: modelDict) {
      print("try", suggestion.renames)
    }
    // end W5
    #expect(report.missing.count == 14 && report.unexpected.count == 16)
    #expect(
      try stateDict.suggestedRenames(toFit: modelDict)?.renames == [.stripPrefix("module.")])
  }

  @Test("W6")
  func w6() throws {
    let stateDict = try Checkpoint(contentsOf: demo).stateDict(at: "model")
    // begin W6
    let renamed = try stateDict.renamingKeys(
      .stripPrefix("module."), .replacePrefix("fc.", with: "classifier."))
    let (kept, changes) = try stateDict.applying([
      .include([KeyPattern("under:module.layer1")]), .rename(.stripPrefix("module.")),
    ])
    // end W6
    #expect(renamed["classifier.weight"] != nil && renamed.metadata?.isEmpty == false)
    #expect(kept.count == 8 && changes.dropped.count == 8)
  }

  @Test("W7")
  func w7() throws {
    let pretrained = try Checkpoint(contentsOf: demo).stateDict(at: "model").renamingKeys(
      .stripPrefix("module."))
    let modelDict = try Checkpoint(contentsOf: fresh).stateDict()
    // begin W7
    var start = modelDict
    let report = try start.update(
      with: pretrained, resizing: [ResizeRule("under:fc=reinit")], seed: 0)
    // end W7
    #expect(report.resized.map(\.key) == ["fc.weight", "fc.bias"])
    #expect(start["fc.weight"]?.shape == [10, 8] && report.replaced.count == 16)
  }

  @Test("W15")
  func w15() throws {
    let stateDict = try Checkpoint(contentsOf: demo).stateDict(at: "model")
    // begin W15
    let recipe = try RecipeBook.recipe("data-parallel")
    let steps = try stateDict.steps(of: [.recipe(recipe)])
    let (plain, report) = try stateDict.applying(steps)
    // end W15
    #expect(plain.keys.first == "conv1.weight" && report.renamed.count == 16)
  }

  @Test(
    "The documents show these examples",
    arguments: ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W15"])
  func documents(row: String) throws {
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(source.firstIndex(of: "    // begin \(row)"))
    let end = try #require(source.firstIndex(of: "    // end \(row)"))
    let example = source[begin + 1..<end].map { $0.hasPrefix("    ") ? $0.dropFirst(4) : $0 }
      .joined(separator: "\n").replacingOccurrences(
        of: #"path\(("[^"]*")\)"#, with: "$1", options: .regularExpression)
    let document = Fixtures.folder.deletingLastPathComponent()
      .appending(path: "Sources/StateDictKit/StateDictKit.docc/Workflow/\(row).md")
    let text = try String(contentsOf: document, encoding: .utf8)
    #expect(
      text.contains("```swift\n\(example)\n```"),
      "\(row).md should show:\n\(example)"
    )
  }
}
