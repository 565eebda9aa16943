import CkptCommands
import CkptTestSupport
import Foundation
import StateDictKit
import Testing

/// What holds for every option of `ckpt finetune`: it changes the run, or the call is refused.
struct FinetuneOptionTests {
  let folder: TemporaryFolder
  let call: [String]

  init() throws {
    folder = try TemporaryFolder()
    call = [
      "finetune", Fixtures.path("finetune/shapes"), "--model", "resnet18", "--weights",
      Fixtures.path("finetune/moco.pt"), "--recipe", "moco", "--size", "32", "--epochs", "2",
      "--batch-size", "8", "--lr", "0.01", "-o", folder.file("out"),
    ]
  }

  /// Options that decide by what the images, the model or the machine are.
  static let dependent: Set = ["exif", "class-weights", "patience", "min-loaded", "threads"]

  /// A value of which the run is another one, or is refused.
  static let values = [
    "train": "head", "head-lr": "0.5", "lr-for": "layer4=0.5", "layer-decay": "0.5",
    "optimizer": "adamw", "momentum": "0.1", "weight-decay": "0.5", "schedule": "constant",
    "warmup": "1", "accumulate": "2", "seed": "3", "max-time": "0.001", "resize": "60",
    "augment": "flip", "mean": "0,0,0", "std": "1,1,1", "mixup": "0.3", "erase": "0.9",
    "sampler": "balanced", "dropout": "0.2", "label-smoothing": "0.2", "clip-norm": "0.0001",
    "ema": "0.5", "val": "0.4", "head": "layer4", "at": "none", "include": "conv1",
    "select": "conv1", "exclude": "layer4", "dtype": "int64", "min-elements": "1000000",
    "max-elements": "1", "shape": "7", "strip-prefix": "conv1.",
    "add-prefix": "x.", "replace-prefix": "conv1=x", "replace": "conv=x",
    "regex": "conv=>x", "map": "none.yml", "resume": "x",
  ]

  /// What a run comes to: a status, or the bits of all that it saved but its arguments.
  private func outcome(_ words: [String]) throws -> (status: Int32, bits: [String: [UInt8]]) {
    defer { try? FileManager.default.removeItem(atPath: folder.file("out")) }
    let status = CommandLineTool.run(call + words)
    guard status == 0, FileManager.default.fileExists(atPath: folder.file("out")) else {
      return (status, [:])
    }
    var bits: [String: [UInt8]] = [:]
    let checkpoint = try Checkpoint(contentsOf: folder.file("out/last.pt"))
    for part in ["model", "preprocessing", "metrics", "ema"] {
      guard let value = try? checkpoint.plainValue(at: part) else { continue }
      var open = [(part, value)]
      while let (name, value) = open.popLast() {
        switch value {
        case .dict(let entries):
          for (key, value) in entries { open.append(("\(name)/\(key)", value)) }
        case .list(let items):
          for (index, item) in items.enumerated() { open.append(("\(name)/\(index)", item)) }
        case .tensor(let tensor):
          bits[name] = try tensor.floats().flatMap { number in
            withUnsafeBytes(of: number.bitPattern) { Array($0) }
          }
        default: if !name.contains("seconds") { bits[name] = Array("\(value)".utf8) }
        }
      }
    }
    return (status, bits)
  }

  @Test func `Every option changes the run, or the call is refused`() throws {
    let plain = try outcome([])
    try #require(plain.status == 0)
    let again = try outcome([])
    #expect(again == plain)
    for option in OptionCatalogue.all
    where option.command == "finetune" && !option.isFree && !Self.dependent.contains(option.name)
      && !call.contains(option.spelling) && option.name != "output"
    {
      guard !option.takesValue || Self.values[option.name] != nil else {
        Issue.record("no value is known for \(option.spelling)")
        continue
      }
      let words = [option.spelling] + (Self.values[option.name].map { [$0] } ?? [])
      let found = try outcome(option.takesValue ? words : [option.spelling])
      if found == plain { Issue.record("\(words) changed nothing") }
    }
  }
}
