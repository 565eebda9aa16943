import CkptCommands
import Foundation
import StateDictKit
import CkptTestSupport
import Testing

@Suite("ckpt check")
struct CheckCommandTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func path(_ name: String) -> String { Fixtures.path("loading/\(name).pt") }

  private func check(_ name: String, _ options: String...) -> Int32 {
    CommandLineTool.run(["check", path(name), "--against", path(name + ".model")] + options)
  }

  @Test("The exit status says whether it would load")
  func status() throws {
    #expect(check("same") == 0)
    #expect(check("prefix") == 1)
    #expect(check("prefix", "--strip-prefix", "module.") == 0)
    #expect(check("missing") == 1)
    #expect(check("missing", "--non-strict", "--json") == 0)
    #expect(check("head", "--non-strict") == 1)
    #expect(check("half") == 0)
    #expect(check("half", "--exact-dtype") == 1)
    #expect(check("same", "--loaded") == 0)
    #expect(ckpt("check", path("same")) == 64)
    #expect(ckpt("check", path("same"), "--against", "/none") == 66)
  }

  @Test("--model names what to check against; a model and a checkpoint are not both given")
  func model() throws {
    let trained = Fixtures.path("models/trained_resnet18.pt")
    #expect(ckpt("check", trained, "--model", "resnet18") == 0)
    #expect(ckpt("check", trained, "--model", "resnet18", "--json") == 0)
    #expect(ckpt("check", trained, "--model", "resnet18:classes=7") == 1)
    #expect(ckpt("check", trained, "--model", "resnet18:classes=7", "--exclude", "under:fc") == 1)
    #expect(
      ckpt(
        "check", trained, "--model", "resnet18:classes=7", "--exclude", "under:fc", "--non-strict")
        == 0)
    #expect(ckpt("check", trained, "--model", "resnet34") == 1)
    // Nothing in the file tells GPT-2's sizes: the published ones.
    #expect(ckpt("check", trained, "--model", "gpt2") == 1)
    #expect(ckpt("check", trained, "--model", "llama") == 65)
    #expect(ckpt("check", trained, "--model", "alexnet") == 64)
    #expect(ckpt("check", trained, "--model", "resnet18", "--against", trained) == 64)
    #expect(ckpt("check", trained, "--model", "resnet18", "--against-at", "model") == 64)
    let parallel = Fixtures.path("prefixes/data_parallel.pt")
    #expect(ckpt("check", parallel, "--model", "resnet18") == 1)
    #expect(ckpt("check", parallel, "--model", "resnet18", "--strip-prefix", "module.") == 0)
  }

  @Test("A load that would load less than wanted fails")
  func share() throws {
    // 129 of 144 elements: 89.6 %.
    #expect(check("missing", "--min-loaded", "89%") == 0)
    #expect(check("missing", "--min-loaded", "0.9") == 1)
    #expect(check("prefix", "--non-strict") == 0)
    #expect(check("prefix", "--min-loaded", "1%") == 1)
    for bad in ["x", "101%", "1.5", "-1", "nan", "%"] {
      #expect(check("same", "--min-loaded", bad) == 64, "\(bad)")
    }
  }

  @Test(
    "The suggested command, when run, makes the check pass",
    arguments: ["prefix", "moco", "gamma", "parts"])
  func suggestion(name: String) throws {
    let found = try Checkpoint(contentsOf: path(name)).stateDict(at: "/")
    let reference = try Checkpoint(contentsOf: path(name + ".model")).stateDict(at: "/")
    let suggestion = try #require(try found.suggestedRenames(toFit: reference))
    let out = folder.file("renamed.pt")
    #expect(
      CommandLineTool.run(["rename-keys", path(name)] + suggestion.arguments + ["-o", out]) == 0)
    #expect(ckpt("check", out, "--against", path(name + ".model")) == 0)
    let again = ["check", path(name), "--against", path(name + ".model")] + suggestion.arguments
    #expect(CommandLineTool.run(again) == 0)
  }
}
