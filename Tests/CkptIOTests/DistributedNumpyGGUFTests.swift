import CkptIO
import CkptPickle
import CkptBytes
import CkptPlatform
import StateDictKit
import CkptTestSupport
import Testing
import CkptZip

/// What a format's own library says is in a file (`fixtures/formats_more.py`).
private struct Expected: Decodable {
  let key, dtype: String
  let shape: [Int]
  let sha256: String
}

@Suite("Distributed checkpoints, DeepSpeed's folders, numpy's arrays, GGUF")
struct DistributedNumpyGGUFTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static func path(_ name: String) -> String { Fixtures.path("formats_more/" + name) }

  private func expect(_ stateDict: StateDict, _ account: String) throws {
    let expected = try Fixtures.decode([Expected].self, from: "formats_more/\(account).json")
    #expect(stateDict.tensors.map(\.key).sorted() == expected.map(\.key).sorted())
    for entry in expected {
      let tensor = try #require(stateDict[entry.key])
      #expect(tensor.dtype.name == entry.dtype && tensor.shape == entry.shape, "\(entry.key)")
      #expect(sha256(try tensor.contiguousBytes()) == entry.sha256, "\(entry.key)")
    }
  }

  @Test(
    "A format that holds tensors alone is read as its own library reads it",
    arguments: [
      ("arrays.npz", "arrays", Checkpoint.Format.npz), ("deflated.npz", "arrays", .npz),
      ("zero1", "zero1", .deepSpeed), ("zero2", "zero2", .deepSpeed),
      ("zero2_padded", "zero2_padded", .deepSpeed), ("zero3", "zero3", .deepSpeed),
      ("zero3/global_step7", "zero3", .deepSpeed),
    ])
  func tensors(name: String, account: String, format: Checkpoint.Format) throws {
    let checkpoint = try Checkpoint(contentsOf: Self.path(name))
    #expect(checkpoint.format == format)
    try expect(checkpoint.stateDict(), account)
    // Written as PyTorch's, it is the same.
    try checkpoint.write(to: folder.file("out.pt"))
    try expect(Checkpoint(contentsOf: folder.file("out.pt")).stateDict(), account)
  }

  @Test("Shared parameters of DeepSpeed's stay one")
  func shared() throws {
    for name in ["zero1", "zero3"] {
      let stateDict = try Checkpoint(contentsOf: Self.path(name)).stateDict()
      #expect(stateDict.ties.map(Set.init) == [["head.weight", "tied.weight"]])
    }
  }

  @Test("A single array has numpy's name for the first")
  func oneArray() throws {
    for (name, key) in [
      ("little_f4", "little/f4"), ("big_f8", "big/f8"), ("fortran", "fortran"),
      ("scalar", "scalar"),
    ] {
      let expected = try Fixtures.decode([Expected].self, from: "formats_more/arrays.json")
      let stateDict = try Checkpoint(contentsOf: Self.path(name + ".npy")).stateDict()
      #expect(stateDict.keys == ["arr_0"])
      let digest = expected.first { $0.key == key }?.sha256
      #expect(sha256(try #require(stateDict["arr_0"]).contiguousBytes()) == digest)
    }
  }

  /// The tensors at any depth, as the account of a nested checkpoint names them.
  private func leaves(_ checkpoint: Checkpoint) throws -> StateDict {
    var result = StateDict()
    for line in try checkpoint.objectTree(depth: 9) where line.hiddenChildren == 0 {
      guard let slash = line.path.lastIndex(of: "/") else {
        if line.type == "tensor" {
          result[line.path] = try checkpoint.stateDict(at: "/")[line.path]
        }
        continue
      }
      let holder = String(line.path[..<slash])
      guard line.type == "tensor", let found = try? checkpoint.stateDict(at: holder) else {
        continue
      }
      result[line.path] = found[line.step]
    }
    return result
  }

  @Test("The chunks of a distributed checkpoint's tensors are put together, whatever their shape")
  func sharded() throws {
    let checkpoint = try Checkpoint(contentsOf: Self.path("distributed_sharded"))
    #expect(checkpoint.format == .distributed)
    try expect(leaves(checkpoint), "distributed_sharded")
    try checkpoint.write(to: folder.file("out.pt"))
    try expect(leaves(Checkpoint(contentsOf: folder.file("out.pt"))), "distributed_sharded")
  }

  @Test("Any part of a tensor of chunks can be read")
  func parts() throws {
    var random = SeededRandom(4)
    let stateDict = try Checkpoint(contentsOf: Self.path("distributed_sharded")).stateDict()
    for (_, tensor) in stateDict.tensors {
      let whole = try tensor.contiguousBytes()
      for _ in 0..<20 {
        let start = Int.random(in: 0...whole.count, using: &random)
        let end = Int.random(in: start...whole.count, using: &random)
        #expect(try tensor.storage.source.bytes(in: start..<end) == Array(whole[start..<end]))
      }
    }
  }

  @Test("Objects and nesting of a distributed checkpoint survive, and can be written as one again")
  func nested() throws {
    let checkpoint = try Checkpoint(contentsOf: Self.path("distributed"))
    let before = try checkpoint.objectTree(depth: 9)
    #expect(before.contains { $0.path == "epoch" && $0.summary == "3" })
    #expect(before.contains { $0.path == "note" && $0.summary == "\"né\"" })
    try checkpoint.write(to: folder.file("again.dcp"))
    let again = try Checkpoint(contentsOf: folder.file("again.dcp"))
    #expect(again.format == .distributed)
    let after = try again.objectTree(depth: 9)
    #expect(after.map { $0.path + " " + $0.summary } == before.map { $0.path + " " + $0.summary })
    #expect(try leaves(again).tensors.map(\.key) == leaves(checkpoint).tensors.map(\.key))
    for (key, tensor) in try leaves(checkpoint).tensors {
      #expect(try leaves(again)[key]?.contiguousBytes() == tensor.contiguousBytes(), "\(key)")
    }
  }

  @Test(
    "What is written into a format and read again is the same",
    arguments: ["out.npz", "out.gguf", "out.dcp"])
  func roundTrip(name: String) throws {
    let source = try Checkpoint(contentsOf: Self.path("zero2"))
    var options = WriteOptions()
    options.ties = .copy
    try source.write(to: folder.file(name), options: options)
    let first = try files(of: folder.file(name))
    try expect(Checkpoint(contentsOf: folder.file(name)).stateDict(), "zero2")
    try source.write(to: folder.file(name), options: options, replacingExisting: true)
    // A distributed checkpoint's new files have other names than the old ones until those are gone.
    #expect(try name == "out.dcp" || files(of: folder.file(name)) == first)
    try expect(Checkpoint(contentsOf: folder.file(name)).stateDict(), "zero2")
    let checkpoint = try Checkpoint(contentsOf: folder.file(name))
    try checkpoint.write(to: folder.file("back.pt"))
    try expect(Checkpoint(contentsOf: folder.file("back.pt")).stateDict(), "zero2")
  }

  private func files(of path: String) throws -> [[UInt8]] {
    guard Folder.exists(at: path) else { return [try contents(of: path)] }
    return try Folder(path).names.map { try contents(of: path + "/" + $0) }
  }

  @Test("Quantized tensors are written as floats if that is asked for, and only then")
  func dequantized() throws {
    let checkpoint = try Checkpoint(contentsOf: Self.path("quantized.gguf"))
    let stateDict = try checkpoint.stateDict()
    #expect(stateDict["q4_k"]?.storage.blocks?.name == "Q4_K")
    for name in ["out.pt", "out.safetensors", "out.npz"] {
      let error = #expect(throws: CheckpointError.self) {
        try checkpoint.write(to: folder.file(name))
      }
      #expect(error?.remedies.flatMap(\.actions) == [.dequantize, .convertFile])
    }
    var options = WriteOptions()
    options.dequantizes = true
    for name in ["out.pt", "out.gguf", "out.safetensors"] {
      try checkpoint.write(to: folder.file(name), options: options)
      let written = try Checkpoint(contentsOf: folder.file(name)).stateDict()
      #expect(written.keys.sorted() == stateDict.keys.sorted())
      for (key, tensor) in stateDict.tensors {
        #expect(try written[key]?.contiguousBytes() == tensor.contiguousBytes(), "\(name) \(key)")
      }
    }
  }

  @Test("Quantized tensors stay in their blocks from one GGUF file to another")
  func keptBlocks() throws {
    let checkpoint = try Checkpoint(contentsOf: Self.path("quantized.gguf"))
    let stateDict = try checkpoint.stateDict()
    var renamed = StateDict()
    for (key, tensor) in stateDict.tensors { renamed["x." + key] = tensor }
    var edited = checkpoint
    try edited.replaceStateDict(at: "/", with: renamed)
    try edited.write(to: folder.file("renamed.gguf"))
    let written = try Checkpoint(contentsOf: folder.file("renamed.gguf")).stateDict()
    #expect(written.keys == stateDict.keys.map { "x." + $0 })
    for (key, tensor) in stateDict.tensors {
      let other = try #require(written["x." + key])
      #expect(other.shape == tensor.shape)
      #expect(other.storage.blocks?.name == tensor.storage.blocks?.name)
      #expect(
        try other.storage.blocks?.source.allBytes() == tensor.storage.blocks?.source.allBytes())
      #expect(try other.contiguousBytes() == tensor.contiguousBytes(), "\(key)")
    }
    // What is computed from them has no blocks any more.
    var computed = StateDict()
    computed["q4_k"] = try #require(stateDict["q4_k"]).converting(to: .float16)
    try Checkpoint(computed).write(to: folder.file("half.gguf"))
    let half = try Checkpoint(contentsOf: folder.file("half.gguf")).stateDict()
    #expect(half["q4_k"]?.dtype == .float16)
    #expect(half["q4_k"]?.storage.blocks == nil)
  }

  @Test("A TorchScript module's code can be read, and nothing else passes for it")
  func code() throws {
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("torchscript.pt"))
    let name = try #require(checkpoint.records.map(\.name).first { $0.hasSuffix(".py") })
    #expect(name.hasPrefix("code/"))
    #expect(try checkpoint.recordText(name).contains("class Small(Module)"))
    #expect(
      message(of: CheckpointError.self) { try checkpoint.recordText("data.pkl") }
        == "there is no \"data.pkl\" in the archive (\(Fixtures.path("torchscript.pt")))")
    let debug = try #require(checkpoint.records.map(\.name).first { $0.hasSuffix(".debug_pkl") })
    #expect(
      message(of: CheckpointError.self) { try checkpoint.recordText(debug) }
        == "the record is no text (\(Fixtures.path("torchscript.pt")), object code/__torch__.py.debug_pkl)"
    )
  }

  @Test("Dicts that hold one dict many times are not taken apart without end")
  func sharedDicts() throws {
    var graph = PickleGraph()
    var inner = graph.addObject(.dict)
    for _ in 0..<60 {
      let keys = (graph.addString("a"), graph.addString("b"))
      inner = graph.addObject(
        .dict, edits: [.setItem(key: keys.0, value: inner), .setItem(key: keys.1, value: inner)])
    }
    graph.root = inner
    let records = [
      ZipRecord(name: "x/data.pkl", content: .source(.bytes(try graph.encoded()))),
      ZipRecord(name: "x/version", content: .source(.bytes(Array("3\n".utf8)))),
    ]
    let path = try folder.write([], to: "x.pt")
    let output = try AtomicOutput(path: path, replacingExisting: true)
    try ZipWriter().write(ZipPlan(records, padding: pytorchPadding), to: output.file)
    try output.commit()
    #expect(throws: CheckpointError.self) {
      try Checkpoint(contentsOf: path).write(to: folder.file("out.dcp"))
    }
  }

  @Test("A GGUF file made from another keeps all that that one says of itself")
  func ggufMetadata() throws {
    var checkpoint = try Checkpoint(contentsOf: Self.path("quantized.gguf"))
    let before = checkpoint.metadata.map { $0.key + $0.value }
    #expect(before.contains("some.negative-7"))
    let kept = try checkpoint.stateDict().filter(include: "is:f32")
    try checkpoint.replaceStateDict(at: "/", with: kept)
    try checkpoint.write(to: folder.file("out.gguf"))
    let written = try Checkpoint(contentsOf: folder.file("out.gguf"))
    #expect(written.metadata.map { $0.key + $0.value } == before)
    #expect(try written.stateDict().keys == ["f32"])
  }

  @Test("A chunk whose bytes were changed is found")
  func damagedChunk() throws {
    let path = folder.file("copy")
    let source = try Folder(Self.path("distributed_sharded"))
    try TemporaryFolder.copy(source.path, to: path)
    var found = 0
    for name in source.names where name.hasSuffix(".distcp") {
      var bytes = try contents(of: path + "/" + name)
      // The numbers 1.5 and 2.0 stand together in rows.
      let needle: [UInt8] = [0, 0, 0xC0, 0x3F, 0, 0, 0, 0x40]
      for position in 0..<bytes.count - 8 where bytes[position..<position + 8].elementsEqual(needle)
      {
        bytes[position] = 1
        found += 1
      }
      _ = try folder.write(bytes, to: "copy/" + name)
    }
    #expect(found > 0)
    let error = #expect(throws: (any Error).self) {
      try Checkpoint(contentsOf: path).write(to: folder.file("out.pt"))
    }
    #expect((error as? any Diagnostic)?.description.contains("CRC-32") == true)
  }

  struct BadCase: Decodable, CustomTestStringConvertible {
    let file: String
    let says: String
    var testDescription: String { file }
  }

  @Test(
    "What is damaged, or lies about itself, is refused with an error that says what",
    arguments: try Fixtures.decode([BadCase].self, from: "formats_more/bad/bad.json"))
  func bad(example: BadCase) throws {
    let error = #expect(throws: (any Error).self) {
      let checkpoint = try Checkpoint(contentsOf: Self.path("bad/" + example.file))
      _ = try checkpoint.stateDict()
      try checkpoint.write(to: folder.file("out.pt"))
    }
    let diagnostic = try #require(error as? any Diagnostic)
    #expect(diagnostic.kind == .badInput)
    #expect(diagnostic.description.contains(example.says), "\(diagnostic.description)")
    #expect(try folder.names().isEmpty)
  }

  @Test("Bytes changed anywhere in the metadata of a folder lead to an error, never a crash")
  func damagedMetadata() throws {
    var random = SeededRandom(8)
    for (name, file) in [
      ("distributed_sharded", ".metadata"), ("zero3", "global_step7/"),
      ("distributed", ".metadata"),
    ] {
      let path = folder.file(name)
      try TemporaryFolder.copy(Self.path(name), to: path)
      let target =
        file.hasSuffix("/")
        ? try #require(Folder(path + "/" + file).names.first.map { file + $0 }) : file
      let whole = try contents(of: path + "/" + target)
      for _ in 0..<60 {
        var bytes = whole
        for _ in 0...Int.random(in: 0...3, using: &random) {
          bytes[Int.random(in: bytes.indices, using: &random)] = UInt8(
            truncatingIfNeeded: random.next())
        }
        _ = try folder.write(bytes, to: name + "/" + target)
        do {
          let checkpoint = try Checkpoint(contentsOf: path)
          _ = try checkpoint.objectTree(depth: 8)
          try checkpoint.write(to: folder.file("out.pt"), replacingExisting: true)
        } catch is any Diagnostic {}
      }
    }
  }
}
