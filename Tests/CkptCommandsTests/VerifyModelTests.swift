import Foundation
import StateDictKit
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("verify --model")
struct VerifyModelTests {
  let folder: TemporaryFolder
  let trained = Fixtures.path("models/trained_resnet18.pt")

  init() throws { folder = try TemporaryFolder() }

  @Test("0 where weights work, 1 where something is off, 64 where there is no such model")
  func statuses() throws {
    #expect(ckpt("verify", trained) == 0)
    #expect(ckpt("verify", trained, "--model", "resnet18") == 0)
    #expect(ckpt("verify", trained, "--model", "resnet18", "--steps", "2", "--json") == 0)
    #expect(ckpt("verify", trained, "--model", "resnet34") == 1)
    #expect(ckpt("verify", trained, "--model", "alexnet") == 64)
    #expect(ckpt("verify", trained, "--model", "resnet18:classes=x") == 64)
    #expect(ckpt("verify", trained, "--model", "bert") == 65)
    #expect(ckpt("verify", trained, "--dump", folder.file("x.pt")) == 64)
    #expect(ckpt("verify", "/none.pt", "--model", "resnet18") == 66)
  }

  @Test("a prefix is taken away where that is asked for")
  func prefix() throws {
    let moco = Fixtures.path("models/moco.pt")
    #expect(
      ckpt(
        "verify", moco, "--at", "state_dict", "--model", "resnet18:classes=7", "--strip-prefix",
        "module.encoder_q.") == 1)
    let wrapped = folder.file("wrapped.pt")
    #expect(ckpt("rename-keys", trained, "--add-prefix", "module.", "-o", wrapped) == 0)
    #expect(
      ckpt("verify", wrapped, "--model", "resnet18", "--strip-prefix", "module.") == 0)
  }

  @Test("without --model, what is inside another model is named")
  func inside() throws {
    for name in ["data_parallel", "segmentation", "two"] {
      #expect(ckpt("verify", Fixtures.path("prefixes/\(name).pt")) == 0)
    }
    #expect(
      ckpt(
        "verify", Fixtures.path("prefixes/segmentation.pt"), "--model", "resnet50:classes=4",
        "--strip-prefix", "backbone.") == 1)
  }

  @Test("--model takes a description, too: verify, verify --dump and check")
  func description() throws {
    let albert = Fixtures.path("../Examples/models/albert.yml")
    let file = Fixtures.path("described/albert.pt")
    let spec = albert + ":layers=3,heads=2"
    #expect(ckpt("verify", file, "--at", "state", "--model", spec) == 0)
    #expect(ckpt("verify", file, "--at", "state", "--model", spec, "--json") == 0)
    #expect(ckpt("check", file, "--at", "state", "--model", albert) == 0)
    #expect(ckpt("check", trained, "--model", albert) == 1)
    #expect(ckpt("verify", file, "--at", "state", "--model", albert + ":depth=3") == 64)
    #expect(ckpt("verify", file, "--at", "state", "--model", albert + ":layers=x") == 64)
    let out = folder.file("figures.pt")
    #expect(ckpt("verify", file, "--at", "state", "--model", spec, "--dump", out) == 0)
    #expect(try Checkpoint(contentsOf: out).stateDict().keys.contains("norms/classifier.weight"))
    #expect(ckpt("verify", trained, "--model", "/none.yml") == 66)
    let broken = folder.file("broken.yaml")
    try "model:\n  fc: Linear(16)\n".write(toFile: broken, atomically: true, encoding: .utf8)
    #expect(ckpt("verify", trained, "--model", broken) == 65)
    #expect(ckpt("check", trained, "--model", broken) == 65)
    // A description that takes what the layers before do not give.
    try "model:\n  fc: Linear(16, 5)\n  last: Linear(4, 5)\n".write(
      toFile: broken, atomically: true, encoding: .utf8)
    #expect(ckpt("check", trained, "--model", broken) == 1)
  }

  @Test("--dump writes PyTorch's figures for the file's own input and target")
  func dump() throws {
    let source = Fixtures.path("models/mlp.pt")
    let out = folder.file("out.pt")
    #expect(ckpt("verify", source, "--model", "mlp", "--at", "state", "--dump", out) == 0)
    let found = try Checkpoint(contentsOf: out).stateDict()
    let wanted = try Checkpoint(contentsOf: source).stateDict(at: "/")
    for key in ["logits", "losses"] {
      var numbers: [[Double]] = []
      for tensor in [found[key], wanted[key]] {
        let tensor = try #require(tensor)
        var values = [Double](repeating: 0, count: tensor.elementCount)
        let reader = try tensor.makeElementReader()
        try values.withMutableSpan { try reader.read(into: &$0) }
        numbers.append(values)
      }
      #expect(numbers[0].count == numbers[1].count)
      for (one, other) in zip(numbers[0], numbers[1]) {
        #expect((one - other).magnitude < 1e-5)
      }
    }
    #expect(found.keys.contains("norms/0.weight") && found.keys.contains("after/2.bias"))
    #expect(ckpt("verify", trained, "--model", "resnet18", "--dump", out) == 65)
    #expect(ckpt("verify", source, "--model", "mlp", "--at", "state", "--dump", out) == 73)
    #expect(
      ckpt("verify", source, "--model", "mlp", "--at", "state", "--dump", out, "--force") == 0)
  }

  @Test("--dump computes in 64 bits where the input is of 64 bits")
  func wide() throws {
    let source = try Checkpoint(contentsOf: Fixtures.path("models/mlp.pt"))
    let input = try #require(try source.stateDict(at: "/")["input"])
    let reader = try input.makeElementReader()
    var values = [Double](repeating: 0, count: input.elementCount)
    try values.withMutableSpan { try reader.read(into: &$0) }
    let (path, out) = (folder.file("wide.pt"), folder.file("wide-out.pt"))
    try Checkpoint(
      .dict([
        "state": PlainValue(source.stateDict(at: "state")),
        "input": .tensor(Tensor(values, shape: input.shape)),
        "target": source.plainValue(at: "target"),
      ])
    ).write(to: path)
    #expect(ckpt("verify", path, "--model", "mlp", "--at", "state", "--dump", out) == 0)
    let found = try Checkpoint(contentsOf: out).stateDict()
    #expect(found["logits"]?.dtype == .float64)
    #expect(found["after/2.weight"]?.dtype == .float64)
  }
}
