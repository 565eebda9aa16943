import CkptText
import CkptCommands
import StateDictKit
import CkptTestSupport
import Testing

@Suite("ckpt fold, and the commands that meet weights in parts")
struct FoldCommandTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A file with a weight in the form's parts, twice, beside a plain one, and an epoch.
  private func file(_ form: WeightsInParts.Form, _ name: String = "in.pt") throws -> String {
    var stateDict = StateDict()
    stateDict["norm.weight"] = try Tensor([1, 2, 3] as [Float], shape: [3])
    for module in ["a.", "b."] {
      for (key, type, shape) in form.tensors {
        let type = try #require(DType(name: type))
        let count = try #require(type.byteCount(ofElements: shape.reduce(1, *)))
        stateDict[module + key] = try Tensor(
          storage: Storage(bytes: [UInt8](repeating: 1, count: count)), dtype: type,
          shape: shape)
      }
    }
    var checkpoint = try Checkpoint(stateDict)
    try checkpoint.setValue(at: "epoch", to: JSONValue(parsing: "3"))
    let path = folder.file(name)
    try checkpoint.write(to: path)
    return path
  }

  @Test("What can be folded is, and the rest of the file stays", arguments: WeightsInParts.foldable)
  func fold(form: WeightsInParts.Form) throws {
    let (source, out) = (try file(form), folder.file("out.pt"))
    #expect(ckpt("fold", source, "-o", out) == 0)
    #expect(
      try Set(Checkpoint(contentsOf: out).stateDict(at: "/").tensors.map(\.key))
        == ["norm.weight", "a.m.weight", "b.m.weight"])
    #expect(ckpt("get", out, "--at", "epoch") == 0)
    let some = folder.file("some.pt")
    #expect(ckpt("fold", source, "--exclude", "under:a", "-o", some, "--json") == 0)
    let keys = try Checkpoint(contentsOf: some).stateDict(at: "/").tensors.map(\.key)
    #expect(keys.contains("b.m.weight") && keys.contains("a." + form.main))
    // Once is enough.
    #expect(ckpt("fold", out, "-o", folder.file("x.pt")) == 65)
    #expect(ckpt("fold", out, "-o", folder.file("y.pt"), "--allow-empty") == 0)
    #expect(ckpt("fold", source, "--include", "none", "-o", folder.file("x.pt")) == 65)
    #expect(try folder.names() == ["in.pt", "out.pt", "some.pt", "y.pt"])
  }

  @Test(
    "What cannot be folded or computed with is refused before anything is written",
    arguments: WeightsInParts.quantized + WeightsInParts.unknown)
  func refused(form: WeightsInParts.Form) throws {
    let (source, out) = (try file(form), folder.file("out.pt"))
    let other = try file(form, "other.pt")
    #expect(ckpt("fold", source, "-o", out) == 65)
    if form.kind == "quantized" {
      for method in ["linear", "swa", "passthrough"] {
        let inputs = method == "passthrough" ? [source] : [source, other]
        #expect(
          CommandLineTool.run(
            ["merge"] + inputs
              + ["--weights", "1", "--method", method, "-o", out].filter {
                method == "linear" || !["--weights", "1"].contains($0)
              }) == 65)
      }
      if form.tensors.contains(where: { $0.type.contains("float") }) {
        #expect(ckpt("convert", source, "--at", "/", "--to-dtype", "float64", "-o", out) == 65)
      }
      // Codes alone are not cast either.
      #expect(
        ckpt(
          "convert", source, "--at", "/", "--include", "is:a." + form.main, "--to-dtype", "float64",
          "-o", out) == 65)
    }
    #expect(
      ckpt("merge", source, other, "--include", "is:a." + form.main, "-o", out)
        == (form.tensors.count > 1 ? 65 : 0))
    #expect(try folder.names().contains("out.pt") == (form.tensors.count == 1))
    // Copied, filtered and merged as a whole they stay right.
    #expect(ckpt("convert", source, "-o", folder.file("copy.pt")) == 0)
    #expect(ckpt("filter", source, "--include", "under:a", "-o", folder.file("part.pt")) == 0)
    #expect(ckpt("merge", source, other, "--include", "under:a", "-o", folder.file("u.pt")) == 0)
  }
}
