import CkptCommands
import CkptPlatform
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

  @Test func `--resume opens each file of the run and each image once`() throws {
    #expect(train(["--epochs", "0"], run: "run") == 0)
    let counters = WorkCounters()
    WorkCounters.$current.withValue(counters) {
      #expect(CommandLineTool.run(["finetune", "--resume", folder.file("run")]) == 0)
    }
    // args.yml, last.pt, and the headers of 36 images.
    #expect(counters[.open] == 2 + 36)
    #expect(counters[.pickleDecoded] == 1)
  }

  @Test func `--resume takes more epochs and another time, and nothing else`() throws {
    #expect(train(["--epochs", "1"], run: "run") == 0)
    func resume(_ words: String...) -> Int32 {
      CommandLineTool.run(["finetune", "--resume", folder.file("run")] + words)
    }
    for words in [["--epochs", "0"], ["--force"], ["--skip-bad"], ["--dry-run"], ["--seed", "1"]] {
      #expect(
        CommandLineTool.run(["finetune", "--resume", folder.file("run")] + words) == 64, "\(words)")
    }
    #expect(resume("--epochs", "2", "--max-time", "1h") == 0)
    #expect(resume("--epochs", "1") == 64)
    let last = try Checkpoint(contentsOf: folder.file("run/last.pt")).plainValue()
    #expect(last["epoch"]?.int == 2)
    #expect(last["args"]?["max_time"]?.number == 3600)
  }
}
