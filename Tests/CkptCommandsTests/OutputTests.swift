import CkptText
import CkptCommands
import Foundation
import StateDictKit
import CkptTestSupport
import Testing

@Suite("What commands write, and where")
struct OutputTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func file(_ name: String, _ keys: [String]) throws -> String {
    var stateDict = StateDict()
    for (number, key) in keys.enumerated() {
      stateDict[key] = try Tensor([Float(number), 1, 2, 3], shape: [2, 2])
    }
    try Checkpoint(stateDict).write(to: folder.file(name))
    return folder.file(name)
  }

  private func keys(_ path: String) throws -> [String] {
    try Checkpoint(contentsOf: path).stateDict().keys
  }

  @Test("convert writes what is selected, and casts what is meant to be cast")
  func convert() throws {
    let source = try file("a.pt", ["body.w", "body.norm", "ema.w"])
    let out = folder.file("out.safetensors")
    #expect(ckpt("convert", source, "--exclude", "under:ema", "-o", out) == 0)
    #expect(try keys(out).sorted() == ["body.norm", "body.w"])
    #expect(
      ckpt(
        "convert", source, "--exclude", "under:ema", "--to-dtype", "bf16", "--cast-exclude", "norm",
        "-o", out, "--force") == 0)
    var stateDict = try Checkpoint(contentsOf: out).stateDict()
    #expect(stateDict["body.w"]?.dtype == .bfloat16)
    #expect(stateDict["body.norm"]?.dtype == .float32)
    #expect(stateDict["ema.w"] == nil)
    #expect(
      ckpt(
        "convert", source, "--to-dtype", "torch.half", "--cast-include", "is:ema.w", "-o", out,
        "--force") == 0)
    stateDict = try Checkpoint(contentsOf: out).stateDict()
    #expect(stateDict["body.w"]?.dtype == .float32)
    #expect(stateDict["ema.w"]?.dtype == .float16)
    // What selects nothing is an error, and leaves OUT as it was.
    let before = try contents(of: out)
    #expect(
      ckpt("convert", source, "--to-dtype", "half", "--cast-include", "x", "-o", out, "--force")
        == 65)
    #expect(ckpt("convert", source, "--include", "is:x", "-o", out, "--force") == 65)
    #expect(ckpt("convert", source, "--cast-include", "w", "-o", out, "--force") == 64)
    #expect(try contents(of: out) == before)
  }

  @Test("--cast-include takes integers only where they become integers")
  func integers() throws {
    var stateDict = StateDict()
    stateDict["n"] = try Tensor([1, 2] as [Int64], shape: [2])
    stateDict["w"] = try Tensor([1, 2] as [Float], shape: [2])
    let (source, out) = (folder.file("a.pt"), folder.file("out.pt"))
    try Checkpoint(stateDict).write(to: source)
    #expect(
      ckpt("convert", source, "--to-dtype", "fp16", "--cast-include", "is:n", "-o", out) == 65)
    #expect(
      ckpt("convert", source, "--to-dtype", "int", "--cast-include", "is:n", "-o", out) == 0)
    let written = try Checkpoint(contentsOf: out).stateDict()
    #expect(written["n"]?.dtype == .int32 && written["w"]?.dtype == .float32)
  }

  @Test("drop takes all paths, each as it is before anything goes")
  func drop() throws {
    var checkpoint = try Checkpoint(StateDict(["w": try Tensor([1] as [Float], shape: [1])]))
    try checkpoint.setValue(at: "list", to: JSONValue(parsing: "[0, 1, 2, 3, [4, 5]]"))
    try checkpoint.setValue(at: "epoch", to: JSONValue(parsing: "3"))
    let (source, out) = (folder.file("a.pt"), folder.file("out.pt"))
    try checkpoint.write(to: source)
    #expect(
      ckpt(
        "drop", source, "--at", "list/0", "--at", "epoch", "--at", "list/4/0", "--at", "list/2",
        "-o", out) == 0)
    let left = try Checkpoint(contentsOf: out)
    #expect(try left.value(at: "list").value.text() == JSONValue(parsing: "[1, 3, [5]]").text())
    #expect(throws: CheckpointError.self) { try left.value(at: "epoch") }
    let before = try contents(of: out)
    for paths in [["list", "list/0"], ["epoch", "epoch"], ["epoch", "none"]] {
      let call = ["drop", source] + paths.flatMap { ["--at", $0] } + ["-o", out, "--force"]
      #expect(CommandLineTool.run(call) == 65)
    }
    #expect(try contents(of: out) == before)
  }

  @Test("DIR/ is a folder of a model's files, with those that belong to it; --no-carry leaves them")
  func modelFolder() throws {
    let model = folder.file("model")
    try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: false)
    _ = try file("model/model.safetensors", ["a", "b", "c"])
    let beside = ["config.json", "tokenizer.json", "vocab.txt", "LICENSE", "LICENSE.md"]
    for name in beside + ["other.json", "training_args.bin", "config.json.bak"] {
      _ = try folder.write(Array(name.utf8), to: "model/" + name)
    }
    let out = folder.file("out")
    #expect(ckpt("filter", model, "--exclude", "is:a", "-o", out + "/") == 0)
    #expect(try Folder(out).names == (beside + ["model.safetensors"]).sorted())
    #expect(try keys(out) == ["b", "c"])
    for name in beside { #expect(try contents(of: out + "/" + name) == Array(name.utf8)) }
    #expect(ckpt("convert", model, "--no-carry", "-o", folder.file("bare/")) == 0)
    #expect(try Folder(folder.file("bare")).names == ["model.safetensors"])
    #expect(ckpt("shard", model, "--max-size", "20", "-o", folder.file("shards")) == 0)
    #expect(
      try Folder(folder.file("shards")).names.filter { $0.hasSuffix(".safetensors") }.count == 3)
    #expect(try Folder(folder.file("shards")).contains("config.json"))
    // Jobs carry them once.
    for job in ["2/2", "1/2"] {
      #expect(
        ckpt("shard", model, "--max-size", "20", "--job", job, "-o", folder.file("jobs")) == 0)
      #expect(try Folder(folder.file("jobs")).contains("config.json") == (job == "1/2"))
    }
    // Over itself nothing is carried, and nothing is lost.
    #expect(ckpt("rename-keys", model, "--add-prefix", "x.", "-o", model + "/", "--force") == 0)
    #expect(try keys(model) == ["x.a", "x.b", "x.c"])
    #expect(try Folder(model).contains("config.json"))
  }

  @Test("A folder that is not meant as one is refused, and so is a file's name for a folder")
  func wrongNames() throws {
    let source = try file("a.pt", ["a"])
    for call in [
      ["shard", source, "-o", folder.file("out.safetensors")],
      ["shard", source, "-o", folder.file("out.pt")],
      ["shard", source, "--format", "npz", "-o", folder.file("out")],
      ["convert", source, "--format", "gguf", "-o", folder.file("out/")],
      ["convert", source, "-o", folder.file("out.SAFETENSORS")],
      ["compact", source, "-o", folder.file("out.pt.gz")],
    ] { #expect(CommandLineTool.run(call) == 64, "\(call)") }
    #expect(ckpt("convert", Fixtures.path("torchscript.pt"), "-o", folder.file("bare")) == 64)
    #expect(try folder.names() == ["a.pt"])
  }

  @Test("A recipe for keys applies to OTHER; mergekit's is --config's, or stands alone")
  func recipes() throws {
    let (base, other) = (try file("a.pt", ["x", "y"]), try file("b.pt", ["module.y", "module.x"]))
    let out = folder.file("out.pt")
    #expect(ckpt("merge", base, other, "--recipe", "data-parallel", "-o", out) == 0)
    let (written, theirs) = (
      try Checkpoint(contentsOf: out).stateDict(), try Checkpoint(contentsOf: other).stateDict()
    )
    for key in ["x", "y"] {
      #expect(try written[key]?.contiguousBytes() == theirs["module." + key]?.contiguousBytes())
    }
    let recipe = try folder.write(
      Array("{merge_method: linear, parameters: {weight: 1}, models: [{model: a.pt}]}".utf8),
      to: "m.yaml")
    for call in [["merge", recipe], ["merge", "--config", recipe]] {
      #expect(CommandLineTool.run(call + ["-o", out, "--force"]) == 0)
      #expect(try keys(out) == ["x", "y"])
    }
    #expect(ckpt("merge", base, "--config", recipe, "-o", out, "--force") == 64)
  }

  @Test("A text that was meant as another kind of pattern is refused instead of selecting nothing")
  func patterns() throws {
    let source = try file("a.pt", ["model.w", "ema.w"])
    for pattern in ["ema.*", "em?.w", "{ema,x}", "^ema", "ema\\.w", "(ema|x).*"] {
      for option in ["--exclude", "--include"] {
        #expect(
          ckpt("filter", source, option, pattern, "-o", folder.file("o.pt")) == 64, "\(pattern)")
        #expect(ckpt("hash", source, option, pattern) == 64, "\(pattern)")
      }
    }
    #expect(ckpt("filter", source, "--exclude", "none", "-o", folder.file("o.pt")) == 0)
    #expect(
      ckpt("rename-keys", source, "--regex", "(ema)=>x\\1", "-o", folder.file("p.pt")) == 64)
    #expect(
      ckpt("rename-keys", source, "--regex", "(?<a>ema)=>x\\g<a>", "-o", folder.file("p.pt")) == 64)
    #expect(try folder.names() == ["a.pt", "o.pt"])
  }

  @Test("A value behind one that counts for all keys decides nothing, and is refused")
  func shadowed() throws {
    let (a, b) = (try file("a.pt", ["x", "y"]), try file("b.pt", ["x", "y"]))
    let merge = ["merge", a, b, "--method", "slerp", "-o", folder.file("o.pt")]
    #expect(CommandLineTool.run(merge + ["--t", "0.5", "--t", "is:x=1"]) == 64)
    #expect(CommandLineTool.run(merge + ["--t", "0.5", "--t", "0.7"]) == 64)
    #expect(CommandLineTool.run(merge + ["--t", "is:x=1", "--t", "0.5"]) == 0)
  }

  @Test("GGUF's numbers and texts stay in safetensors, and its lists are named")
  func metadata() throws {
    func text(_ value: String) -> [UInt8] { integer(UInt64(value.utf8.count)) + Array(value.utf8) }
    func integer(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    var bytes = Array("GGUF".utf8) + integer(UInt32(3)) + integer(UInt64(1)) + integer(UInt64(3))
    bytes += text("general.architecture") + integer(UInt32(8)) + text("llama")
    bytes += text("llama.block_count") + integer(UInt32(4)) + integer(UInt32(2))
    bytes +=
      text("tokens") + integer(UInt32(9)) + integer(UInt32(8)) + integer(UInt64(1)) + text("a")
    bytes +=
      text("w") + integer(UInt32(1)) + integer(UInt64(2)) + integer(UInt32(0)) + integer(UInt64(0))
    bytes += [UInt8](repeating: 0, count: (32 - bytes.count % 32) % 32)
    bytes += integer(Float(1).bitPattern) + integer(Float(2).bitPattern)
    let source = try folder.write(bytes, to: "a.gguf")
    let plan = try Checkpoint(contentsOf: source).plan(writingTo: folder.file("a.safetensors"))
    #expect(plan.report.lostMetadata == ["tokens"])
    #expect(
      try Checkpoint(contentsOf: source).plan(writingTo: folder.file("a.pt")).report.lostMetadata
        == ["general.architecture", "llama.block_count", "tokens"])
    #expect(ckpt("convert", source, "-o", folder.file("a.safetensors")) == 0)
    let written = try Checkpoint(contentsOf: folder.file("a.safetensors")).metadata
    for (key, value) in [
      ("general.architecture", "llama"), ("llama.block_count", "2"), ("format", "pt"),
    ] { #expect(written.contains { $0.key == key && $0.value == value }, "\(key)") }
    #expect(ckpt("convert", folder.file("a.safetensors"), "-o", folder.file("b.gguf")) == 0)
    #expect(
      try Checkpoint(contentsOf: folder.file("b.gguf")).metadata.map(\.key).sorted()
        == ["general.architecture", "llama.block_count"])
    #expect(
      try Checkpoint(contentsOf: source).plan(writingTo: folder.file("c.gguf")).report.lostMetadata
        == [])
  }
}
