import CkptCommands
import StateDictKit
import CkptTestSupport
import Testing

@Suite("The command merge, by methods that compute")
struct MergeMethodTests {
  let folder: TemporaryFolder
  let models = Fixtures.path("merging/inputs.pt")

  init() throws { folder = try TemporaryFolder() }

  @Test("A method merges what is selected; everything else stays")
  func slerp() throws {
    let out = folder.file("out.pt")
    let status = ckpt(
      "merge", models, models, "--at", "base", "--other-at", "one", "--method", "slerp", "--t",
      "under:conv=1", "--t", "0", "--exclude", "is:v", "-o", out)
    #expect(status == 0)
    let before = try Checkpoint(contentsOf: models)
    let after = try Checkpoint(contentsOf: out)
    let (base, one) = (try before.stateDict(at: "base"), try before.stateDict(at: "one"))
    let merged = try after.stateDict(at: "base")
    #expect(try merged["conv"]?.contiguousBytes() == one["conv"]?.contiguousBytes())
    for key in ["w", "v", "half", "wide"] {
      #expect(try merged[key]?.contiguousBytes() == base[key]?.contiguousBytes(), "\(key)")
    }
    #expect(
      try after.stateDict(at: "two")["w"]?.contiguousBytes()
        == before.stateDict(at: "two")["w"]?.contiguousBytes())
  }

  @Test("Negative weights, another dtype, a dry run")
  func options() throws {
    let out = folder.file("out.pt")
    let common = ["merge", models, models, "--at", "base", "--other-at", "one", "-o", out]
    let linear = common + ["--method", "linear", "--weights", "-1,2", "--to-dtype", "bfloat16"]
    #expect(CommandLineTool.run(linear + ["--dry-run"]) == 0)
    #expect(try folder.names().isEmpty)
    #expect(CommandLineTool.run(linear + ["--json"]) == 0)
    #expect(try Checkpoint(contentsOf: out).stateDict(at: "base")["wide"]?.dtype == .bfloat16)
  }

  @Test(
    "One file cannot be merged, but passed through", arguments: ["linear", "ties", "passthrough"])
  func single(method: String) throws {
    let out = folder.file("out.pt")
    let status = ckpt("merge", models, "--at", "base", "--method", method, "-o", out)
    #expect(status == (method == "passthrough" ? 0 : 64))
    #expect(try folder.names() == (status == 0 ? ["out.pt"] : []))
  }

  @Test(
    "Wrong calls say so and write nothing",
    arguments: [
      ["--method", "none"], ["--method", "linear", "--weights", "1,2,3"],
      ["--method", "linear", "--weights", "1;2"], ["--method", "linear", "--density", "1"],
      ["--method", "ties"], ["--method", "ties", "--weights", "re:(=1"],
      ["--method", "swa", "--on-nan", "maybe"], ["--method", "swa", "--to-dtype", "int8"],
      ["--method", "swa", "--resize", "w=pad"], ["--method", "swa", "--base", "x"],
      ["--weights", "1"], ["--method", "lora", "--weights", "1"], ["--config", "x.yml"],
      ["--method", "linear", "--weights", "1", "--layers", "none"],
    ])
  func wrong(arguments: [String]) throws {
    let out = folder.file("out.pt")
    let all = ["merge", models, models, "--at", "base", "--other-at", "one", "-o", out] + arguments
    #expect(CommandLineTool.run(all) == 64)
    #expect(try folder.names().isEmpty)
  }

  @Test("A recipe merges files that lie beside it; a bad one is refused")
  func recipe() throws {
    for name in ["base", "one"] {
      let path = folder.file("\(name).pt")
      #expect(
        ckpt("filter", models, "--at", name, "--extract", "--include", "re:.", "-o", path) == 0)
    }
    let recipe = try folder.write(
      Array(
        "{merge_method: slerp, base_model: base.pt, parameters: {t: 0}, models: [{model: one.pt}]}"
          .utf8), to: "recipe.yml")
    let out = folder.file("out.pt")
    #expect(ckpt("merge", "--config", recipe, "-o", out) == 0)
    let base = try Checkpoint(contentsOf: models).stateDict(at: "base")
    #expect(
      try Checkpoint(contentsOf: out).stateDict()["w"]?.contiguousBytes()
        == base["w"]?.contiguousBytes())
    let bad = try folder.write(
      Array("{merge_method: slerp, models: [{model: none.pt}]}".utf8), to: "bad.yml")
    #expect(ckpt("merge", "--config", bad, "-o", out, "--force") == 66)
    #expect(ckpt("merge", "--config", folder.file("none.yml"), "-o", out, "--force") == 66)
  }

  @Test("An adapter is added with the scale that lies beside it")
  func lora() throws {
    let base = StateDict(["q.weight": try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])])
    let adapter = StateDict([
      "base_model.model.q.lora_A.weight": try Tensor([1, 10] as [Float], shape: [1, 2]),
      "base_model.model.q.lora_B.weight": try Tensor([2, 3] as [Float], shape: [2, 1]),
    ])
    let (file, weights, out) = (folder.file("base.pt"), folder.file("a.bin"), folder.file("out.pt"))
    try Checkpoint(base).write(to: file)
    try Checkpoint(adapter).write(to: weights)
    _ = try folder.write(Array(#"{"lora_alpha": 2, "r": 1}"#.utf8), to: "adapter_config.json")
    #expect(ckpt("merge", file, weights, "--method", "lora", "--scale", "0.5", "-o", out) == 0)
    #expect(try Checkpoint(contentsOf: out).stateDict()["q.weight"]?.floats() == [3, 22, 6, 34])
    _ = try folder.write(Array(#"{"use_dora": true}"#.utf8), to: "adapter_config.json")
    #expect(
      ckpt("merge", file, weights, "--method", "lora", "-o", out, "--force") == 65)
  }
}
