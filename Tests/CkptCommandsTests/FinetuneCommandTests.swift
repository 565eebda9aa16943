import CkptCommands
import CkptTestSupport
import Foundation
import StateDictKit
import Testing

struct FinetuneCommandTests {
  let folder: TemporaryFolder
  let shapes = Fixtures.path("finetune/shapes")

  init() throws { folder = try TemporaryFolder() }

  /// Trains the fixture's narrow model.
  private func train(_ words: [String], run: String) -> Int32 {
    CommandLineTool.run(
      [
        "finetune", shapes, "--model", "resnet18", "--weights", Fixtures.path("finetune/moco.pt"),
        "--recipe", "moco", "--size", "32", "--batch-size", "8", "--schedule", "constant", "-o",
        folder.file(run),
      ] + words)
  }

  private func model(_ run: String) throws -> StateDict {
    try Checkpoint(contentsOf: folder.file(run + "/last.pt")).stateDict(at: "model")
  }

  @Test func `A model of other sizes than the published ones is continued, too`() throws {
    #expect(train(["--epochs", "2"], run: "whole") == 0)
    #expect(train(["--epochs", "1"], run: "parts") == 0)
    let resume = ["finetune", "--resume", folder.file("parts"), "--epochs", "2"]
    #expect(CommandLineTool.run(resume + ["--dry-run"]) == 64)
    #expect(CommandLineTool.run(resume) == 0)
    let (whole, parts) = (try model("whole"), try model("parts"))
    #expect(whole.keys == parts.keys)
    for (key, tensor) in whole.tensors {
      #expect(try parts[key]?.hasSameBytes(as: tensor) == true, "\(key)")
    }
  }
}
