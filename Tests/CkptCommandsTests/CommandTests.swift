import CkptText
import CkptCommands
import Foundation
import StateDictKit
import CkptTestSupport
import Testing

/// Runs `ckpt` in this process; what it prints is tested by `make interop`.
func ckpt(_ arguments: String...) -> Int32 { CommandLineTool.run(arguments) }

@Suite("The command")
struct CommandTests {
  let folder: TemporaryFolder
  let training = Fixtures.path("training.pt")

  init() throws { folder = try TemporaryFolder() }

  private func keys(_ path: String, at: String? = nil) throws -> [String] {
    try Checkpoint(contentsOf: path).stateDict(at: at).keys
  }

  @Test("filter keeps what is selected, and everything beside it")
  func filter() throws {
    let out = folder.file("out.pt")
    #expect(ckpt("filter", training, "--include", "weight", "--exclude", "fc", "-o", out) == 0)
    let all = try keys(training)
    #expect(try keys(out) == all.filter { $0.contains("weight") && !$0.contains("fc") })
    #expect(try Checkpoint(contentsOf: out).objectTree().count > 1)
  }

  @Test("rename-keys applies its rules in the order given, whatever their options are called")
  func order() throws {
    let source = folder.file("in.pt")
    var stateDict = StateDict()
    stateDict["a.x"] = try Tensor([1] as [Float], shape: [1])
    try Checkpoint(stateDict).write(to: source)
    let (one, two) = (folder.file("1.pt"), folder.file("2.pt"))
    #expect(
      ckpt(
        "rename-keys", source, "--add-prefix", "b.", "--strip-prefix", "a.", "--replace", "b=c",
        "-o", one) == 0)
    #expect(try keys(one) == ["c.a.x"])
    #expect(
      ckpt(
        "rename-keys", source, "--strip-prefix=a.", "--regex", "^(.)=>$1$1", "--add-prefix=b.",
        "-o", two) == 0)
    #expect(try keys(two) == ["b.xx"])
  }

  @Test("rename-keys takes a map in YAML or JSON")
  func map() throws {
    let key = try #require(try keys(training).first)
    for (name, text) in [("m.yml", "\(key): new.name\n"), ("m.json", "{\"\(key)\": \"new.name\"}")]
    {
      let map = try folder.write(Array(text.utf8), to: name)
      let out = folder.file(name + ".pt")
      #expect(ckpt("rename-keys", training, "--map", map, "-o", out) == 0)
      #expect(try keys(out).first == "new.name")
    }
    let list = try folder.write(Array("- a\n".utf8), to: "list.yml")
    #expect(ckpt("rename-keys", training, "--map", list, "-o", folder.file("x.pt")) == 65)
    #expect(ckpt("rename-keys", training, "--map", "/none.yml", "-o", folder.file("x.pt")) == 66)
  }

  @Test("merge is the main job: filtered, renamed, into a fresh state dict")
  func merge() throws {
    let (fresh, demo) = (Fixtures.path("demo_fresh.pt"), Fixtures.path("demo.pt"))
    let at = try Checkpoint(contentsOf: demo).stateDictPath()
    let theirs = try keys(demo)
    let prefix = try #require(theirs.first?.split(separator: ".").first.map { String($0) + "." })
    let out = folder.file("out.pt")
    let kept = try keys(fresh).filter { theirs.contains(prefix + $0) && !$0.hasPrefix("fc") }
    #expect(!kept.isEmpty)
    #expect(
      ckpt(
        "merge", fresh, demo, "--other-at", at, "--exclude", "under:\(prefix)fc", "--strip-prefix",
        prefix, "--skip-mismatched", "--allow-new", "-o", out) == 0)
    let merged = try Checkpoint(contentsOf: out).stateDict()
    let source = try Checkpoint(contentsOf: demo).stateDict()
    for key in kept where merged[key]?.shape == source[prefix + key]?.shape {
      #expect(try merged[key]?.contiguousBytes() == source[prefix + key]?.contiguousBytes())
    }
  }

  @Test("A merge that does not fit writes nothing")
  func mismatch() throws {
    let out = folder.file("out.pt")
    #expect(ckpt("merge", training, Fixtures.path("demo.pt"), "-o", out) == 65)
    #expect(try folder.names().isEmpty)
  }

  @Test("An output that exists stays, unless --force is given; a dry run writes nothing")
  func output() throws {
    let out = try folder.write([1], to: "out.pt")
    #expect(ckpt("filter", training, "--include", "weight", "-o", out) == 73)
    #expect(try contents(of: out) == [1])
    #expect(ckpt("filter", training, "--include", "weight", "-o", out, "--force", "--dry-run") == 0)
    #expect(try contents(of: out) == [1])
    #expect(ckpt("filter", training, "--include", "weight", "-o", out, "--force") == 0)
    #expect(try Checkpoint(contentsOf: out).format == .pytorchZip)
    #expect(try folder.names() == ["out.pt"])
  }

  @Test("The exit status tells faults of the call, of the input and of the output apart")
  func status() throws {
    let out = folder.file("out.pt")
    let calls: [(Int32, [String])] = [
      (64, ["filter", training]), (64, ["filter", training, "-o", "-"]), (64, ["nonsense"]),
      (64, ["filter", training, "--include", "re:(", "-o", out]),
      (64, ["rename-keys", training, "-o", out]),
      (64, ["merge", training, "-o", out]), (64, ["ls", training, "--dtype", "float33"]),
      (64, ["ls", training, "--shape", "1,x"]), (64, ["show", training, "--depth", "-1"]),
      (64, ["filter", training, "-o", out, "--format", "none"]),
      (64, ["convert", training, "-o", out, "--ties", "none"]),
      (64, ["convert", training, "-o", out, "--to-dtype", "float33"]),
      (64, ["shard", training, "-o", out, "--max-size", "-1GB"]),
      (65, ["convert", training, "-o", folder.file("x.safetensors")]),
      (65, ["join", folder.path, "--index-only", "-o", folder.file("m.safetensors.index.json")]),
      (65, ["ls", Fixtures.path("formats/bad/outside.safetensors.index.json")]),
      (64, ["merge", training, training, "--method", "linear", "-o", out]),
      (65, ["ls", Fixtures.path("bad/text.pt")]), (65, ["ls", training, "--at", "none"]),
      (65, ["filter", training, "--include", "is:none", "-o", out]),
      (65, ["ls", Fixtures.path("two_candidates.pt")]),
      (65, ["filter", Fixtures.path("torchscript.pt"), "-o", out]),
      (66, ["ls", folder.file("none")]), (66, ["ls", folder.path]),
      (73, ["filter", training, "-o", folder.file("no/such/out.pt")]),
      (73, ["filter", training, "-o", folder.path]),
      (0, ["--version"]), (0, ["--help"]), (0, ["ls", training]), (0, ["ls", training, "--json"]),
      (0, ["show", training]), (0, ["show", training, "--json", "--depth", "9"]),
      (0, ["ls", Fixtures.path("torchscript.pt")]),
      (0, ["ls", Fixtures.path("two_candidates.pt"), "--at", "student"]),
    ]
    for (status, arguments) in calls {
      #expect(CommandLineTool.run(arguments) == status, "\(arguments)")
    }
    #expect(try folder.names().isEmpty)
  }

  @Test("A TorchScript archive's state dict can be extracted")
  func torchScript() throws {
    let out = folder.file("out.pt")
    let source = Fixtures.path("torchscript.pt")
    #expect(ckpt("filter", source, "--extract", "-o", out) == 0)
    #expect(try keys(out) == keys(source))
  }

  @Test("A checkpoint is converted, sharded and joined again")
  func convert() throws {
    let (one, shards, joined) = (
      folder.file("a.safetensors"), folder.file("shards"), folder.file("b.safetensors")
    )
    #expect(ckpt("convert", training, "--drop-objects", "-o", one) == 0)
    #expect(ckpt("shard", one, "--max-size", "20", "-o", shards) == 0)
    #expect(try Folder(shards).names.count > 2)
    #expect(ckpt("join", shards, "-o", joined) == 0)
    #expect(try contents(of: joined) == contents(of: one))
    #expect(try keys(joined).sorted() == keys(training).sorted())
    let index = shards + "/model.safetensors.index.json"
    let bytes = try contents(of: index)
    #expect(ckpt("join", shards, "--index-only", "-o", index) == 0)
    _ = try folder.write([1], to: "shards/model.safetensors.index.json")
    #expect(ckpt("join", shards, "--index-only", "-o", index) == 73)
    #expect(ckpt("join", shards, "--index-only", "-o", index, "--force") == 0)
    #expect(try contents(of: index) == bytes)
  }

  @Test(
    "Jobs that each write a part, in any order and twice, come to the same bytes as one command")
  func jobs() throws {
    let source = Fixtures.path("formats/layers.safetensors")
    let command = ["convert", source, "--to-dtype", "bfloat16", "--max-size", "30"]
    let (whole, parts) = (folder.file("whole"), folder.file("parts"))
    #expect(
      CommandLineTool.run(command + ["-o", whole + "/model.safetensors.index.json"]) == 0)
    let index = parts + "/model.safetensors.index.json"
    #expect(CommandLineTool.run(["plan"] + command + ["-o", index, "--jobs", "3"]) == 0)
    #expect(try folder.names() == ["whole"])
    for job in ["3/3", "1/3", "1/3"] {
      #expect(CommandLineTool.run(command + ["-o", index, "--job", job]) == 0)
    }
    #expect(ckpt("join", "--index-only", parts, "-o", index) == 65)
    #expect(CommandLineTool.run(command + ["-o", index, "--job", "2/3"]) == 0)
    #expect(try !Folder(parts).contains("model.safetensors.index.json"))
    for _ in 0..<2 { #expect(ckpt("join", "--index-only", parts, "-o", index) == 0) }
    let names = try Folder(whole).names
    #expect(try Folder(parts).names == names && names.count > 3)
    for name in names {
      #expect(try contents(of: parts + "/" + name) == contents(of: whole + "/" + name), "\(name)")
    }
    // A file of the same name that is no such shard is not taken for one.
    _ = try folder.write([1, 2, 3], to: "parts/" + names[0])
    #expect(CommandLineTool.run(command + ["-o", index, "--job", "1/3"]) == 73)
    #expect(CommandLineTool.run(command + ["-o", index, "--job", "1/3", "--force"]) == 0)
    #expect(try contents(of: parts + "/" + names[0]) == contents(of: whole + "/" + names[0]))
  }

  @Test("A plan is refused for what is no independent work")
  func noPlan() {
    let index = folder.file("out/m.safetensors.index.json")
    let calls: [(Int32, [String])] = [
      (64, ["filter", training, "-o", folder.file("x.pt"), "--extract", "--jobs", "2"]),
      (64, ["ls", training, "--jobs", "2"]), (64, ["--jobs", "2"]),
      (64, ["convert", training, "--drop-objects", "-o", index]),
      (64, ["convert", training, "--drop-objects", "-o", index, "--jobs", "0"]),
      (64, ["convert", training, "--none", "-o", index, "--jobs", "2"]),
      (65, ["convert", training, "-o", index, "--jobs", "2"]),
      (0, ["convert", training, "--drop-objects", "-o", index, "--jobs=2", "--json"]),
    ]
    for (status, arguments) in calls {
      #expect(CommandLineTool.run(["plan"] + arguments) == status, "\(arguments)")
    }
    #expect(
      CommandLineTool.run(["convert", training, "-o", folder.file("x.pt"), "--job", "1/2"]) == 64)
    #expect(CommandLineTool.run(["convert", training, "-o", index, "--job", "3/2"]) == 64)
  }

  @Test("--to-dtype converts the selected floats; counters stay")
  func toDtype() throws {
    let out = folder.file("out.safetensors")
    #expect(
      ckpt(
        "convert", training, "--drop-objects", "--to-dtype", "bfloat16", "--cast-exclude", "bn",
        "-o",
        out) == 0)
    let (before, after) = (
      try Checkpoint(contentsOf: training).stateDict(), try Checkpoint(contentsOf: out).stateDict()
    )
    for (key, tensor) in before.tensors {
      let isConverted = tensor.dtype.isFloat && !key.contains("bn")
      #expect(after[key]?.dtype == (isConverted ? .bfloat16 : tensor.dtype))
    }
  }

  @Test("Every command takes every format")
  func formats() throws {
    let source = Fixtures.path("formats/sharded")
    let out = folder.file("out.safetensors")
    #expect(ckpt("filter", source, "--include", "h.0", "-o", out) == 0)
    #expect(try keys(out).sorted() == ["h.0.ln.bias", "h.0.mlp.weight"])
    #expect(ckpt("rename-keys", out, "--strip-prefix", "h.0.", "-o", folder.file("b.pt")) == 0)
    #expect(try keys(folder.file("b.pt")).sorted() == ["ln.bias", "mlp.weight"])
    #expect(ckpt("merge", source, out, "-o", folder.file("m.index.json")) == 0)
    #expect(ckpt("show", source) == 0)
  }

  @Test("The selection that keeps nothing passes only with --allow-empty")
  func empty() throws {
    let out = folder.file("out.pt")
    #expect(ckpt("filter", training, "--include", "is:none", "--allow-empty", "-o", out) == 0)
    #expect(try Checkpoint(contentsOf: out).stateDict(at: "model").isEmpty)
  }

  @Test("An optimizer's state follows the model, and can itself be cut by its parameters' names")
  func optimizer() throws {
    let out = folder.file("out.pt")
    let source = Fixtures.path("optimizers/sgd.pt")
    func ids(_ path: String) throws -> [String] {
      try Checkpoint(contentsOf: path).optimizerState(at: "optimizer").parameters.map(\.id)
    }
    #expect(
      ckpt("filter", source, "--exclude", "conv", "-o", out, "--optimizer", "params=auto") == 0)
    #expect(try ids(out) == (0..<6).map { "\($0)" })
    #expect(
      ckpt("filter", source, "--at", "optimizer", "--exclude", "under:fc", "-o", out, "--force")
        == 0)
    #expect(try ids(out).count == 6)
    let unclear = Fixtures.path("optimizers/head_first.pt")
    let list = try folder.write(
      Array(
        "fc.weight\nfc.bias\ncls_token\nconv.weight\nconv.bias\nbn.weight\nbn.bias\nembed.weight"
          .utf8),
      to: "names.txt")
    let edit = ["filter", unclear, "--exclude", "under:fc", "-o", out, "--force"]
    #expect(CommandLineTool.run(edit + ["--optimizer", "params=auto"]) == 65)
    #expect(CommandLineTool.run(edit + ["--optimizer", "params=" + list]) == 0)
    #expect(CommandLineTool.run(edit + ["--optimizer", "x"]) == 64)
    #expect(CommandLineTool.run(edit) == 0)
  }
}

@Suite("The commands that look into a file")
struct InspectionCommandTests {
  let folder: TemporaryFolder
  let training = Fixtures.path("training.pt")

  init() throws { folder = try TemporaryFolder() }

  @Test("The exit status says what a script wants to know")
  func status() throws {
    let out = folder.file("out.pt")
    var damaged = try contents(of: training)
    damaged[damaged.count / 2] ^= 1
    let broken = try folder.write(damaged, to: "broken.pt")
    let calls: [(Int32, [String])] = [
      (0, ["scan", training]), (0, ["scan", Fixtures.path("scan/unknown.pt"), "--json"]),
      (1, ["scan", Fixtures.path("scan/system_2.pt")]),
      (1, ["scan", Fixtures.path("scan/broken.pt"), "--json"]),
      (65, ["scan", Fixtures.path("scan/broken_plain.pt")]),
      (65, ["scan", Fixtures.path("bad/text.pt")]), (66, ["scan", folder.file("none.pt")]),
      (0, ["verify", training]), (0, ["verify", training, "--json"]), (1, ["verify", broken]),
      (1, ["verify", broken, "--json"]), (1, ["verify", Fixtures.path("bad/half.pt")]),
      (65, ["verify", Fixtures.path("bad/text.pt")]), (66, ["verify", folder.file("none.pt")]),
      (0, ["get", training, "--at", "epoch"]), (0, ["get", training, "--at", "/", "--json"]),
      (64, ["get", training]), (65, ["get", training, "--at", "none"]),
      (64, ["set", training, "--at", "epoch", "--value", "block", "-o", out]),
      (64, ["set", training, "--at", "epoch", "--value", "1"]),
      (65, ["set", training, "--at", "none/x", "--value", "1", "-o", out]),
      (65, ["drop", training, "--at", "none", "-o", out]),
      (65, ["drop", training, "--at", "/", "-o", out]),
      (0, ["drop", training, "--at", "adam", "-o", out, "--dry-run", "--json"]),
      (0, ["ls", training, "--optimizer"]), (0, ["ls", training, "--optimizer", "--json"]),
      (0, ["ls", training, "--optimizer", "--at", "adam"]),
      (65, ["ls", Fixtures.path("views.pt"), "--optimizer"]),
      (65, ["ls", training, "--optimizer", "--at", "model"]),
      (0, ["show", training, "--optimizer", "--depth", "9"]),
      (0, ["show", training, "--optimizer", "--depth", "9", "--json"]),
    ]
    for (status, arguments) in calls {
      #expect(CommandLineTool.run(arguments) == status, "\(arguments)")
    }
    #expect(try folder.names() == ["broken.pt"])
  }

  @Test("set and drop change what they are told to, and write like any other command")
  func edits() throws {
    let (one, two) = (folder.file("1.pt"), folder.file("2.pt"))
    #expect(ckpt("set", training, "--at", "epoch", "--value", "-7", "-o", one) == 0)
    #expect(ckpt("drop", one, "--at", "optimizer", "-o", two) == 0)
    #expect(ckpt("drop", one, "--at", "adam", "-o", two) == 73)
    #expect(ckpt("drop", two, "--at", "adam", "--plain", "-o", two, "--force") == 0)
    let checkpoint = try Checkpoint(contentsOf: two)
    #expect(try checkpoint.value(at: "epoch").value == .number("-7"))
    #expect(try checkpoint.value(at: "args").type == "dict")
    let left = try checkpoint.objectTree(depth: 1).dropFirst().map(\.path)
    #expect(left == ["model", "epoch", "args", "rng", "best"])
    #expect(ckpt("set", two, "--at", "x", "--value", "1", "--extract", "-o", one, "--force") == 0)
    #expect(try Checkpoint(contentsOf: one).stateDictPath() == "/")
  }
}

@Suite("The commands that compute")
struct ComputingCommandTests {
  let folder: TemporaryFolder
  let training = Fixtures.path("training.pt")

  init() throws { folder = try TemporaryFolder() }

  @Test("stats, diff, hash and compact say by their exit status what a script wants to know")
  func status() throws {
    let (demo, views) = (Fixtures.path("demo.pt"), Fixtures.path("views.pt"))
    let existing = try folder.write([1], to: "there.html")
    let calls: [(Int32, [String])] = [
      (0, ["stats", training]), (0, ["stats", Fixtures.path("special_tensors.pt"), "--json"]),
      (65, ["stats", training, "--include", "is:none"]),
      (73, ["stats", training, "--html", existing]),
      (0, ["diff", training, training]), (1, ["diff", training, demo]),
      (1, ["diff", training, demo, "--json"]), (64, ["diff", training]),
      (64, ["diff", training, training, "--rtol", "-1"]),
      (66, ["diff", training, folder.file("no")]),
      (65, ["diff", training, training, "--include", "is:none"]),
      (0, ["diff", Fixtures.path("all_dtypes.pt"), Fixtures.path("all_dtypes.pt")]),
      (1, ["diff", Fixtures.path("all_dtypes.pt"), Fixtures.path("all_dtypes.pt"), "--rtol", "0"]),
      (0, ["diff", Fixtures.path("all_dtypes.pt"), Fixtures.path("all_dtypes.pt"), "--equal-nan"]),
      (0, ["hash", training]), (0, ["hash", training, "--each", "--json"]),
      (64, ["compact", views]), (0, ["compact", views, "-o", folder.file("v.pt"), "--dry-run"]),
    ]
    for (status, arguments) in calls {
      #expect(CommandLineTool.run(arguments) == status, "\(arguments)")
    }
    #expect(try folder.names() == ["there.html"])
    #expect(try contents(of: existing) == [1])
    #expect(ckpt("stats", training, "--html", existing, "--force") == 0)
    #expect(ckpt("diff", training, demo, "--html", folder.file("diff.html")) == 1)
    for name in ["there.html", "diff.html"] {
      let page = String(decoding: try contents(of: folder.file(name)), as: UTF8.self)
      #expect(page.hasPrefix("<!doctype html>") && page.hasSuffix("</html>\n"))
    }
  }
}
