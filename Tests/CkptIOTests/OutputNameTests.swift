import CkptIO
import StateDictKit
import CkptTensors
import CkptTestSupport
import Testing

@Suite("What the name of an output says of its format")
struct OutputNameTests {
  @Test(
    "Endings of formats that are written mean them",
    arguments: [
      ("x.pt", Checkpoint.Format.pytorchZip), ("x.pth", .pytorchZip), ("x.pth.tar", .pytorchZip),
      ("x.bin", .pytorchZip), ("x.ckpt", .pytorchZip), ("x.pkl", .pytorchZip),
      ("x.model", .pytorchZip), ("epoch=3-step=4.ckpt", .pytorchZip),
      ("model.v1.2.pt", .pytorchZip),
      ("a.b/x.safetensors", .safetensors), ("x.npy", .npy), ("x.npz", .npz), ("x.gguf", .gguf),
      ("x.dcp", .distributed), ("x.safetensors.index.json", .safetensorsIndex),
      ("pytorch_model.bin.index.json", .pytorchIndex),
    ])
  func known(name: String, format: Checkpoint.Format) throws {
    #expect(OutputName(name).ending == .format(format))
    #expect(try OutputName(name).format(nil, keeping: .gguf) == format)
    #expect(try OutputName(name).format(.npz, keeping: .gguf) == .npz)
  }

  @Test(
    "Versions, numbers and what has other signs in it are no endings: the input's format stays",
    arguments: [
      "x", "checkpoint-500", "epoch=3-step=4", "epoch=3-loss=0.25", "model.v1", "model.v1.2",
      "model.V12", "Qwen2.5", "llama-3.1-8B", "qwen-0.5b", "a.pt/x", "a.h5/x", ".hidden", "x.",
      "model.é", "step_10.000", "..",
    ])
  func none(name: String) throws {
    #expect(OutputName(name).ending == .none)
    #expect(try OutputName(name).format(nil, keeping: .safetensors) == .safetensors)
    #expect(throws: CheckpointError.cannotKeepFormat(path: name, .pytorchLegacy)) {
      try OutputName(name).format(nil, keeping: .pytorchLegacy)
    }
  }

  @Test(
    "Other endings are refused, with the nearest that means something",
    arguments: [
      ("x.safetensor", ".safetensors"), ("x.SAFETENSORS", ".safetensors"),
      ("x.Safetensors", ".safetensors"), ("x.sftensors", ".safetensors"), ("x.PT", ".pt"),
      ("x.ptt", ".pt"), ("x.h5", ".safetensors"), ("x.onnx", ".safetensors"), ("x.pt.gz", ".pt"),
      ("x.safetensors.zst", ".safetensors"), ("x.gz", ".pt"), ("x.7z", ".pt"), ("x.zip", ".pt"),
      ("x.GGUF", ".gguf"), ("x.ggu", ".gguf"), ("x.npzz", ".npz"), ("x.json", ".index.json"),
      ("model.v1.h5", ".safetensors"), ("x.pdparams", ".pt"), ("x.ckp", ".ckpt"),
    ])
  func unknown(name: String, nearest: String) throws {
    guard case .unknown(let ending, nearest) = OutputName(name).ending else {
      Issue.record("\(OutputName(name).ending)")
      return
    }
    #expect(name.hasSuffix(ending))
    #expect(throws: CheckpointError.unknownEnding(path: name, ending: ending, nearest: nearest)) {
      try OutputName(name).format(nil, keeping: .safetensors)
    }
    #expect(try OutputName(name).format(.gguf, keeping: .safetensors) == .gguf)
  }

  @Test("A slash at the end is a folder of a model's files, whatever stands before it")
  func folder() throws {
    for name in ["x/", "x.pt/", "a/x.h5/", "/"] {
      #expect(OutputName(name).ending == .folder)
      #expect(try OutputName(name).format(nil, keeping: .gguf) == .safetensorsIndex)
      #expect(try OutputName(name).format(.safetensors, keeping: .gguf) == .safetensorsIndex)
      #expect(try OutputName(name).format(.pytorchZip, keeping: .gguf) == .pytorchIndex)
      #expect(throws: CheckpointError.noFolderOf(.npz, path: name)) {
        try OutputName(name).format(.npz, keeping: .gguf)
      }
    }
  }

  @Test("No known ending is taken for another, and none with a letter more or less is known")
  func generated() {
    let endings = [
      ".pt", ".pth", ".bin", ".ckpt", ".tar", ".pkl", ".model", ".safetensors", ".npy", ".npz",
      ".gguf", ".dcp", ".distcp",
    ]
    for ending in endings {
      guard case .format = OutputName("x" + ending).ending else {
        Issue.record("\(ending)")
        continue
      }
      for wrong in [ending.uppercased(), ending + "q", ending + ".gz", ending + "2x"] {
        guard case .unknown = OutputName("x" + wrong).ending else {
          Issue.record("\(wrong)")
          continue
        }
      }
    }
  }

  @Test("Without its folder no output is planned, in any format, but the last folder is made")
  func parent() throws {
    let folder = try TemporaryFolder()
    let checkpoint = try Checkpoint(
      StateDict(["w": try Tensor([1, 2] as [Float], shape: [2])]))
    for name in [
      "x.pt", "x.safetensors", "x.npz", "x.npy", "x.gguf", "x.dcp", "d/",
      "d/m.safetensors.index.json", "d/m.bin.index.json",
    ] {
      let error = #expect(throws: FileError.self) {
        try checkpoint.plan(writingTo: folder.file("none/" + name))
      }
      #expect(error?.kind == .cannotCreate, "\(name)")
      try checkpoint.write(to: folder.file(name), replacingExisting: true)
    }
    #expect(
      try folder.names() == ["d", "x.dcp", "x.gguf", "x.npy", "x.npz", "x.pt", "x.safetensors"])
  }
}
