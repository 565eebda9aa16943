import CkptText
import CkptCommands
import Foundation
import StateDictKit
import CkptTestSupport

/// Calls of all commands with small inputs, and a value or several for every option.
struct OptionInputs {
  let folder: TemporaryFolder
  /// A call of each command for each method, format or flag that has options of its own.
  let calls: [[String]]
  private let map: String

  init(in folder: TemporaryFolder) throws {
    self.folder = folder
    let random = [1, 2, 3, 4, 5, 6] as [Float]
    let tied = try Tensor(random, shape: [2, 3])
    var model = StateDict()
    for layer in 0..<2 {
      model["model.layers.\(layer).weight"] = try Tensor(
        random.map { $0 + Float(layer) }, shape: [2, 3])
    }
    (model["model.embed"], model["model.head"]) = (tied, tied)
    var other = StateDict()
    for key in model.keys { other[key] = try Tensor(random.map { -2 * $0 + 1 }, shape: [2, 3]) }
    let (a, b) = (folder.file("a.pt"), folder.file("b.pt"))
    try Checkpoint(model).write(to: a)
    try Checkpoint(other).write(to: b)
    var third = StateDict()
    for key in model.keys { third[key] = try Tensor(random.map { 3 * $0 - 4 }, shape: [2, 3]) }
    let c = folder.file("c.pt")
    try Checkpoint(third).write(to: c)
    var adapter = StateDict()
    let key = "base_model.model.model.layers.0"
    adapter[key + ".lora_A.weight"] = try Tensor([1, 2, 3] as [Float], shape: [1, 3])
    adapter[key + ".lora_B.weight"] = try Tensor([1, 2] as [Float], shape: [2, 1])
    let adapters = folder.file("adapter")
    try FileManager.default.createDirectory(atPath: adapters, withIntermediateDirectories: false)
    try Checkpoint(adapter).write(to: adapters + "/adapter_model.safetensors")
    _ = try folder.write(
      Array(#"{"peft_type": "LORA", "r": 1, "lora_alpha": 2}"#.utf8),
      to: "adapter/adapter_config.json")
    let shards = folder.file("shards")
    try FileManager.default.createDirectory(atPath: shards, withIntermediateDirectories: false)
    _ = try folder.write(Array("{}".utf8), to: "shards/config.json")
    var untied = StateDict()
    for key in other.keys { untied[key] = other[key] }
    var options = WriteOptions()
    options.maxShardByteCount = 30
    try Checkpoint(untied).write(to: shards + "/model.safetensors.index.json", options: options)
    map = try folder.write(
      Array("model.embed: model.table\nx.model.embed: x.table\n".utf8), to: "map.yml")
    _ = try folder.write(Array("{}".utf8), to: "config.json")
    let recipe = try folder.write(
      Array(
        "{merge_method: linear, parameters: {weight: 0.5}, models: [{model: b.pt}, {model: c.pt}]}"
          .utf8),
      to: "merge.yml")
    let nested = folder.file("nested.pt")
    var holder = try Checkpoint(model)
    try holder.setValue(at: "epoch", to: JSONValue(parsing: "1"))
    try holder.setValue(at: "list", to: JSONValue(parsing: "[1, 2, 3]"))
    try holder.write(to: nested)
    var parts = StateDict()
    parts["model.head_orig"] = try Tensor(random, shape: [2, 3])
    parts["model.head_mask"] = try Tensor([1, 0, 1, 0, 1, 1] as [Float], shape: [2, 3])
    parts["model.embed_g"] = try Tensor([1, 2] as [Float], shape: [2, 1])
    parts["model.embed_v"] = tied
    // A byte of a storage is wrong.
    var bytes = try contents(of: a)
    let seven = [0, 0, 0xE0, 0x40] as [UInt8]
    if let place = bytes.indices.dropLast(3).first(where: {
      bytes[$0..<$0 + 4].elementsEqual(seven)
    }) {
      bytes[place] = 1
    }
    let damaged = try folder.write(bytes, to: "damaged.pt")
    let normed = folder.file("normed.pt")
    try Checkpoint(parts).write(to: normed)
    var calls: [[String]] = [
      ["ls", a], ["ls", a, "--optimizer"], ["show", a], ["show", a, "--record", "x"],
      ["check", a, "--against", b], ["check", a, "--model", "resnet18"], ["recipes"],
      ["recipes", "moco"], ["get", a, "--at", "/"], ["scan", a], ["verify", a],
      ["verify", a, "--model", "resnet18"],
      ["verify", a, "--model", "resnet18", "--dump", folder.file("out.pt")],
      ["verify", a, "--lfs", "sha256:" + String(repeating: "0", count: 64)],
      ["verify", "--manifest", a],
      ["stats", a], ["diff", a, b], ["diff", a, b, "--json"], ["hash", a],
      ["finetune", adapters, "--model", "resnet18", "--weights", a, "--dry-run"],
      ["finetune", adapters, "--model", "resnet18", "--weights", a, "--find-lr"],
      ["finetune", "--resume", adapters], ["predict", a, b], ["evaluate", a, adapters],
      ["join", shards, "--index-only", "--force", "-o", shards + "/model.safetensors.index.json"],
    ]
    func add(_ call: [String], _ ending: String = ".pt") {
      calls.append(call + ["-o", folder.file("out" + ending)])
    }
    add(["hash", a, b, "--manifest"], ".json")
    add(["rewrite", nested])
    add(["compact", a])
    add(["repair", damaged])
    add(["set", nested, "--at", "epoch", "--value", "2"])
    add(["drop", nested, "--at", "epoch"])
    add(["shard", b, "--max-size", "30"], "")
    add(["join", shards], ".safetensors")
    for ending in [".pt", ".safetensors", "/"] + Self.otherEndings {
      add(["filter", a], ending)
      add(["rename-keys", b, "--add-prefix", "x."], ending)
      add(["convert", a], ending)
      add(["convert", b, "--to-dtype", "float16"], ending)
      add(["merge", b, c], ending)
      add(["fold", normed], ending)
    }
    let three = ["merge", a, b, c, "--method"]
    for method in ["karcher", "swa", "sce", "model-stock"] { add(three + [method]) }
    add(three + ["ema", "--decay", "0.5"])
    add(three + ["linear", "--weights", "0.5"])
    add(three + ["task-arithmetic", "--weights", "0.7"])
    add(three + ["multislerp", "--weights", "1,2,3"])
    for method in ["ties", "dare-ties", "della", "breadcrumbs"] {
      add(three + [method, "--weights", "0.7", "--density", "0.5"])
    }
    let two = ["merge", b, c, "--method"]
    for method in ["slerp", "nearswap"] { add(two + [method, "--t", "0.5"]) }
    add(two + ["nuslerp", "--weights", "1,2"])
    add(["merge", b, "--method", "passthrough", "--scale", "2"])
    add(["merge", b, adapters, "--method", "lora"])
    add(["merge", "--config", recipe])
    add(["merge", recipe], ".safetensors")
    self.calls = calls
  }

  /// Endings on which only the options of outputs are tried.
  private static let otherEndings = [
    ".safetensors.index.json", ".bin.index.json", ".npz", ".gguf", ".dcp",
  ]

  /// Whether a call writes something that can be compared.
  func writes(_ call: [String]) -> Bool {
    call.contains("-o") && !call.contains("--index-only")
  }

  /// Options that depend on the output's format.
  static let ofOutputs: Set = ["format", "max-size", "job", "no-carry"]

  /// Whether all options are tried on a call; on formats beside the usual ones, those of the output.
  func isWhole(_ call: [String]) -> Bool {
    !Self.otherEndings.contains { ending in
      call.contains(folder.file("out" + ending))
    }
  }

  /// Whether a call has the option already.
  func isGiven(_ option: OptionCatalogue.Entry, in call: [String]) -> Bool {
    call.contains(option.spelling) || option.name == "output" && call.contains("-o")
  }

  /// Values of an option of which at least one changes what is written, or is refused; a flag has one.
  func values(of option: OptionCatalogue.Entry, in call: [String]) -> [String]? {
    guard option.takesValue else {
      // Of --X and --no-X one is what is done anyway.
      return OptionCatalogue.all.filter { $0.command == option.command && $0.name == option.name }
        .map(\.spelling)
    }
    switch option.name {
    case "at", "other-at": return ["none"]
    case "include", "select": return ["is:model.embed"]
    case "exclude", "cast-exclude": return ["is:model.embed", "under:model.layers.0"]
    case "cast-include": return ["is:model.embed"]
    case "dtype": return ["int64"]
    case "min-elements": return ["100"]
    case "max-elements": return ["1"]
    case "shape": return ["7"]
    case "to-dtype": return ["float64"]
    case "format": return ["npz", "safetensors", "gguf"]
    case "ties": return ["copy", "error"]
    case "max-size": return ["30"]
    case "job": return ["2/2"]
    case "optimizer": return ["params=none"]
    case "strip-prefix": return ["model.", "x."]
    case "add-prefix": return ["y."]
    case "replace-prefix", "replace": return ["model=net", "x=y"]
    case "regex": return ["^model=>net", "^x=>y"]
    case "map": return [map]
    case "recipe": return ["none"]
    case "resize": return ["is:model.embed=reinit"]
    case "method": return ["linear"]
    case "config": return ["none.yml"]
    case "manifest", "lfs": return ["none"]
    case "base": return [folder.file("c.pt"), folder.file("a.pt")]
    case "partial": return ["zeros"]
    case "seed", "steps": return ["3"]
    case "on-nan": return ["none", "keep"]
    case "layers": return ["none"]
    case "max-iter": return ["0"]
    case "tol": return ["1000"]
    case "weights", "density", "t", "epsilon", "gamma", "lambda", "scale", "decay", "select-topk":
      return ["0.25", "0.125"]
    case "output", "value": return ["x"]
    default: return nil
    }
  }

  /// Options that decide by what the input holds: objects that are not plain, tensors that share elements.
  static let dependent: Set = ["plain", "ties", "resize"]

  /// The files that were written, by name.
  func outputs() throws -> [String: [UInt8]] {
    var found: [String: [UInt8]] = [:]
    let manager = FileManager.default
    for name in manager.enumerator(atPath: folder.path)?.compactMap({ $0 as? String }) ?? []
    where name.hasPrefix("out") {
      let path = folder.file(name)
      var isFolder: ObjCBool = false
      if manager.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue {
        found[name] = try contents(of: path)
      }
    }
    return found
  }

  /// Removes them.
  func removeOutputs() {
    for name in (try? folder.names()) ?? [] where name.hasPrefix("out") {
      try? FileManager.default.removeItem(atPath: folder.file(name))
    }
  }
}
