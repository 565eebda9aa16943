import CkptText
import CkptIO
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Values of the object graph are read, set and removed")
struct ObjectEditingTests {
  let training = Fixtures.path("training.pt")

  private func json(_ checkpoint: Checkpoint, _ path: String) throws -> String {
    try checkpoint.value(at: path).value.text(.oneLine)
  }

  @Test("Values are told in JSON: numbers, text, lists, attributes, tensors, numpy's scalars")
  func read() throws {
    let checkpoint = try Checkpoint(contentsOf: training)
    #expect(try json(checkpoint, "epoch") == "3")
    #expect(try json(checkpoint, "best") == "0.75")
    #expect(
      try json(checkpoint, "args") == #"{"lr": 0.1, "arch": "block", "layers": [1, 2]}"#)
    #expect(try json(checkpoint, "args/layers/1") == "2")
    let zeros = Array(repeating: "0", count: 16).joined(separator: ", ")
    #expect(
      try json(checkpoint, "rng") == #"{"dtype": "uint8", "shape": [16], "values": [\#(zeros)]}"#)
    #expect(try json(checkpoint, "optimizer/param_groups/0/lr") == "0.1")
    #expect(try checkpoint.value(at: "args").type == "argparse.Namespace")
    let objects = try Checkpoint(contentsOf: Fixtures.path("python_objects.pt"))
    #expect(try json(objects, "set") == "[1]")
    #expect(try json(objects, "frozenset") == "[1]")
    #expect(try json(objects, "path") == #""pathlib.PurePosixPath(\"a\", \"b\")""#)
  }

  @Test("An object that holds itself is told by its path; deep and large ones end")
  func cycles() throws {
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("cycles.pt"))
    #expect(try json(checkpoint, "0") == #"["the same as 0"]"#)
    #expect(try json(checkpoint, "1") == #"{"self": "the same as 1"}"#)
    #expect(try json(checkpoint, "5").hasPrefix(String(repeating: "[", count: 200)))
    #expect(try json(checkpoint, "/").hasPrefix("["))
  }

  @Test(
    "What is set is read back as it was set",
    arguments: [
      "0", "-1", "0.5", "1e-05", "true", "null", #""text""#, #""é\n\u0001""#, "[1, 2.0, []]",
      #"{"lr": 0.1, "names": ["a", null], "deep": {"x": {}}}"#, "NaN", "-Infinity",
      "123456789012345678901234567890",
    ])
  func set(text: String) throws {
    let folder = try TemporaryFolder()
    var checkpoint = try Checkpoint(contentsOf: training)
    for path in [
      "epoch", "new", "args/lr", "args/fresh", "args/layers/0", "args/layers/2", "adam/x",
    ] {
      try checkpoint.setValue(at: path, to: JSONValue(parsing: text))
    }
    try checkpoint.write(to: folder.file("out.pt"))
    let written = try Checkpoint(contentsOf: folder.file("out.pt"))
    for path in [
      "epoch", "new", "args/lr", "args/fresh", "args/layers/0", "args/layers/2", "adam/x",
    ] {
      #expect(try json(written, path) == text, "\(path)")
    }
    #expect(try json(written, "args/arch") == #""block""#)
    #expect(
      try written.stateDict(at: "model").keys == Checkpoint(contentsOf: training).stateDict().keys)
  }

  @Test("An index of a mapping from ints is an int")
  func intKeys() throws {
    var checkpoint = try Checkpoint(contentsOf: training)
    try checkpoint.setValue(at: "optimizer/state/99", to: .number("1"))
    try checkpoint.removeValue(at: "optimizer/state/0")
    let tree = try checkpoint.objectTree(at: "optimizer/state", depth: 1).map(\.path)
    #expect(tree.contains("optimizer/state/99") && !tree.contains("optimizer/state/0"))
  }

  @Test("What is removed is gone, and nothing else is")
  func remove() throws {
    let folder = try TemporaryFolder()
    var checkpoint = try Checkpoint(contentsOf: training)
    let before = try checkpoint.objectTree(depth: 20).map { $0.path + $0.summary }
    for path in ["optimizer", "adam", "args/lr", "args/layers/0"] {
      let change = try checkpoint.removeValue(at: path)
      #expect(change.before != nil && change.after == nil)
    }
    try checkpoint.write(to: folder.file("out.pt"))
    let written = try Checkpoint(contentsOf: folder.file("out.pt"))
    #expect(try json(written, "args") == #"{"arch": "block", "layers": [2]}"#)
    let gone = ["optimizer", "adam", "args"]
    let after = try written.objectTree(depth: 20).map { $0.path + $0.summary }
    #expect(
      after.filter { line in !gone.contains { line.hasPrefix($0) } && line.first != "/" }
        == before.filter { line in !gone.contains { line.hasPrefix($0) } && line.first != "/" })
  }

  @Test("What cannot be changed is an error that says why")
  func refused() throws {
    var checkpoint = try Checkpoint(contentsOf: training)
    for path in ["/", "none/x", "epoch/x", "args/layers/7", "args/layers/-1", "args/layers/x"] {
      #expect(throws: CheckpointError.self) { try checkpoint.setValue(at: path, to: .null) }
      #expect(throws: CheckpointError.self) { try checkpoint.removeValue(at: path) }
    }
    var script = try Checkpoint(contentsOf: Fixtures.path("torchscript.pt"))
    #expect(
      message(of: CheckpointError.self) { try script.setValue(at: "x", to: .null) }
        == "a TorchScript archive cannot be written, since its code belongs to its weights (\(Fixtures.path("torchscript.pt")))"
    )
    #expect(
      try checkpoint.objectTree(depth: 9).count
        == Checkpoint(contentsOf: training).objectTree(depth: 9).count)
  }
}
