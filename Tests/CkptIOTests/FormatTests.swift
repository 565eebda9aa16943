import Foundation
import CkptBytes
import CkptPlatform
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Formats without a pickle")
struct FormatTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// What the formats' own libraries say is in a fixture (`fixtures/formats.py`).
  struct Described: Decodable {
    struct Entry: Decodable {
      let key, dtype, sha256: String
      let shape: [Int]
    }
    let tensors: [Entry]
    let metadata: [String: String]
    let files: [String: String]?
  }

  static let names = ["all_dtypes", "layers", "odd_keys", "nothing", "sharded", "sharded_bin"]

  private func path(_ name: String) -> String {
    Fixtures.path("formats/" + name + (name.hasPrefix("sharded") ? "" : ".safetensors"))
  }

  private func bytes(_ stateDict: StateDict) throws -> [String: [UInt8]] {
    var result: [String: [UInt8]] = [:]
    for (key, tensor) in stateDict.tensors { result[key] = try tensor.contiguousBytes() }
    return result
  }

  @Test("What Hugging Face's libraries wrote is read as they read it", arguments: names)
  func read(name: String) throws {
    let expected = try Fixtures.decode(Described.self, from: "formats/\(name).json")
    let checkpoint = try Checkpoint(contentsOf: path(name))
    let stateDict = try checkpoint.stateDict()
    #expect(stateDict.keys == expected.tensors.map(\.key))
    for entry in expected.tensors {
      let tensor = try #require(stateDict[entry.key])
      #expect(tensor.dtype.name == entry.dtype && tensor.shape == entry.shape)
      #expect(sha256(try tensor.contiguousBytes()) == entry.sha256)
    }
    if expected.files == nil {
      #expect(
        Dictionary(uniqueKeysWithValues: checkpoint.metadata.map { ($0, $1) }) == expected.metadata)
    }
  }

  @Test(
    "Written anew, a safetensors file is the same bytes, whatever the order of the keys",
    arguments: names.filter { !$0.hasPrefix("sharded") })
  func rewrite(name: String) throws {
    let original = try Checkpoint(contentsOf: path(name))
    try original.write(to: folder.file("a.safetensors"))
    #expect(try contents(of: folder.file("a.safetensors")) == contents(of: path(name)))
    var reversed = StateDict()
    for (key, value) in try original.stateDict().elements.reversed() {
      reversed.setValue(value, for: key)
    }
    var changed = original
    try changed.replaceStateDict(at: "/", with: reversed)
    let plan = try changed.plan(writingTo: folder.file("b.safetensors"))
    try plan.write()
    #expect(try contents(of: folder.file("b.safetensors")) == contents(of: path(name)))
    #expect(plan.byteCount == (try contents(of: path(name))).count)
  }

  @Test(
    "Shards are dealt out, named and written as Hugging Face does",
    arguments: ["sharded", "sharded_bin"])
  func shards(name: String) throws {
    var options = WriteOptions(format: name == "sharded" ? .safetensorsIndex : .pytorchIndex)
    options.maxShardByteCount = 120
    let out = folder.file("out")
    try Checkpoint(contentsOf: path(name)).write(to: out, options: options)
    let (theirs, ours) = (try Folder(path(name)), try Folder(out))
    #expect(ours.names == theirs.names)
    for file in ours.names where !file.hasSuffix(".json") {
      if name == "sharded" {
        #expect(try contents(of: out + "/" + file) == contents(of: path(name) + "/" + file))
      }
    }
    struct Index: Decodable, Equatable {
      let metadata: [String: Int]
      let weight_map: [String: String]
    }
    let index = try #require(ours.names.first { $0.hasSuffix(".index.json") })
    let read = { (folder: String) in
      try JSONDecoder().decode(
        Index.self, from: Data(contentsOf: URL(filePath: folder + "/" + index)))
    }
    #expect(try read(out) == read(path(name)))
    let again = try Checkpoint(contentsOf: out)
    #expect(try bytes(again.stateDict()) == bytes(Checkpoint(contentsOf: path(name)).stateDict()))
    #expect(try again.stateDict().ties == (name == "sharded" ? [] : [["tied", "wte.weight"]]))
  }

  @Test("A checkpoint goes through every format and comes back")
  func around() throws {
    let model = try Checkpoint(contentsOf: Fixtures.path("training.pt")).stateDict()
    var options = WriteOptions()
    options.dropsObjects = true
    options.maxShardByteCount = 20
    var source = Fixtures.path("training.pt")
    for (step, name) in [
      "a.safetensors", "s/m.safetensors.index.json", "b/p.bin.index.json", "c.pt",
    ].enumerated() {
      let target = folder.file(name)
      try Checkpoint(contentsOf: source).write(to: target, options: options)
      let read = try Checkpoint(contentsOf: target)
      #expect(try bytes(read.stateDict()) == bytes(model))
      #expect(read.format == [.safetensors, .safetensorsIndex, .pytorchIndex, .pytorchZip][step])
      source = target
    }
    #expect(try Folder(folder.file("s")).names.count > 2)
  }

  @Test("What a format cannot hold is an error that lists it, or is left out and reported")
  func dropped() throws {
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("training.pt"))
    let out = folder.file("out.safetensors")
    let error = #expect(throws: CheckpointError.self) { try checkpoint.write(to: out) }
    #expect(error?.description.contains("optimizer") == true && error?.kind == .badInput)
    #expect(try folder.names().isEmpty)
    var options = WriteOptions()
    options.dropsObjects = true
    let report = try checkpoint.plan(writingTo: out, options: options).report
    #expect(report.dropped.map(\.path).contains("epoch"))
    #expect(
      message(of: CheckpointError.self) {
        try Checkpoint(contentsOf: Fixtures.path("quantized.pt")).write(to: out, options: options)
      }
        == "safetensors cannot hold the quantized quint8 tensor \"per_tensor\" (\(Fixtures.path("quantized.pt")))"
    )
  }

  @Test("Tied tensors are written once, each, or refused; their names are recorded")
  func ties() throws {
    let storage = Storage(bytes: SeededBytes.make(64))
    var stateDict = StateDict()
    let whole = try Tensor(storage: storage, dtype: .float32, shape: [4, 4])
    stateDict["wte"] = whole
    stateDict["head"] = whole
    stateDict["row"] = try Tensor(storage: storage, dtype: .float32, shape: [4], offset: 4)
    let checkpoint = try Checkpoint(stateDict)
    let out = folder.file("out.safetensors")
    var options = WriteOptions()
    let plan = try checkpoint.plan(writingTo: out, options: options)
    #expect(plan.report.tied.map(\.key) == ["head"] && plan.report.tied.map(\.kept) == ["wte"])
    #expect(Set(plan.report.copied) == ["wte", "row"])
    try plan.write()
    let read = try Checkpoint(contentsOf: out)
    let header = String(decoding: try contents(of: out).prefix(400), as: UTF8.self)
    #expect(header.contains(#""head":"wte""#) && !header.contains(#""head":{"#))
    #expect(try read.stateDict().ties == [["wte", "head"]])
    options.ties = .copy
    try checkpoint.write(to: out, options: options, replacingExisting: true)
    #expect(try bytes(Checkpoint(contentsOf: out).stateDict()) == bytes(stateDict))
    options.ties = .error
    #expect(
      message(of: CheckpointError.self) { try checkpoint.plan(writingTo: out, options: options) }
        == "tensors share elements: head = wte, wte, row ()")
  }

  @Test("Metadata that PyTorch's files have no place for is named")
  func metadata() throws {
    let report = try Checkpoint(contentsOf: path("nothing")).plan(writingTo: folder.file("out.pt"))
      .report
    #expect(report.lostMetadata == ["note"])
    let known = try Checkpoint(contentsOf: path("layers")).plan(writingTo: folder.file("out.pt"))
      .report
    #expect(known.lostMetadata.isEmpty)
  }

  @Test("Slices of one storage that do not overlap are no ties")
  func slices() throws {
    let storage = Storage(bytes: SeededBytes.make(64))
    var stateDict = StateDict()
    for number in 0..<4 {
      stateDict["s\(number)"] = try Tensor(
        storage: storage, dtype: .float32, shape: [4], offset: 4 * number)
    }
    let out = folder.file("out.safetensors")
    let plan = try Checkpoint(stateDict).plan(writingTo: out)
    #expect(plan.report.tied.isEmpty && plan.report.copied.isEmpty)
    try plan.write()
    #expect(try bytes(Checkpoint(contentsOf: out).stateDict()) == bytes(stateDict))
  }

  @Test("Views are written as they are worth: row-major, conjugate and negative ones resolved")
  func views() throws {
    let expected = try Fixtures.decode(Description.self, from: "views.json")
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("views.pt"))
    var stateDict = try checkpoint.stateDict(at: expected.at)
    for (key, tensor) in stateDict.tensors where tensor.dtype == .complex128 {
      stateDict[key] = nil
    }
    let out = folder.file("out.safetensors")
    var options = WriteOptions()
    options.ties = .copy
    options.dropsObjects = true
    try Checkpoint(stateDict).write(to: out, options: options)
    let read = try Checkpoint(contentsOf: out).stateDict()
    #expect(!read.isEmpty)
    for entry in expected.tensors ?? [] where read[entry.key] != nil {
      #expect(
        sha256(try #require(read[entry.key]).contiguousBytes()) == entry.sha256, "\(entry.key)")
    }
  }

  @Test("An existing output stays unless it may be replaced; then shards of the old one go")
  func replaced() throws {
    var options = WriteOptions(format: .safetensorsIndex)
    options.maxShardByteCount = 120
    let out = folder.file("out")
    let checkpoint = try Checkpoint(contentsOf: path("layers"))
    try checkpoint.write(to: out, options: options)
    _ = try folder.write([1], to: "out/config.json")
    let before = try Folder(out).names
    options.maxShardByteCount = 30
    #expect(throws: FileError.self) { try checkpoint.write(to: out, options: options) }
    #expect(try Folder(out).names == before)
    // Over itself, too.
    try Checkpoint(contentsOf: out).write(to: out, options: options, replacingExisting: true)
    let after = try Folder(out).names
    #expect(after.contains("config.json") && after.count > before.count)
    #expect(
      before.filter { after.contains($0) } == ["config.json", "model.safetensors.index.json"])
    #expect(try bytes(Checkpoint(contentsOf: out).stateDict()) == bytes(checkpoint.stateDict()))
  }

  @Test("An index is made anew from its shards")
  func indexOnly() throws {
    var options = WriteOptions(format: .safetensorsIndex)
    options.maxShardByteCount = 120
    let out = folder.file("out")
    var stateDict = try Checkpoint(contentsOf: path("layers")).stateDict()
    stateDict["tied"] = stateDict["wte.weight"]
    try Checkpoint(stateDict).write(to: out, options: options)
    let index = out + "/model.safetensors.index.json"
    let bytes = try contents(of: index)
    try FileManager.default.removeItem(atPath: index)
    try ShardSet(out, indexName: index).plan.write()
    #expect(try contents(of: index) == bytes)
    let first = try #require(try Folder(out).names.first)
    try FileManager.default.removeItem(atPath: out + "/" + first)
    let error = #expect(throws: CheckpointError.self) { try ShardSet(out, indexName: index) }
    #expect(error?.description.contains(first) == true)
  }

  @Test("Numbers of another type are written, and what they lose is counted")
  func converted() throws {
    var stateDict = StateDict()
    stateDict["w"] = try Tensor([1, 1e30, 1e-30, 0] as [Float], shape: [4])
    stateDict["n"] = try Tensor([5] as [Int64], shape: [])
    let (result, tallies) = try stateDict.converting(to: .float16) { $1.dtype.isFloat }
    let out = folder.file("out.safetensors")
    try Checkpoint(result).write(to: out)
    let read = try Checkpoint(contentsOf: out).stateDict()
    #expect(read["w"]?.dtype == .float16 && read["n"]?.dtype == .int64)
    #expect(tallies.map(\.key) == ["w"])
    #expect(
      tallies.first?.tally.losses.overflowed == 1 && tallies.first?.tally.losses.vanished == 1)
  }

  struct Case: Decodable, CustomTestStringConvertible {
    let file: String
    let says: String
    var testDescription: String { file }
  }

  @Test(
    "Each bad file is refused with an error that says what and where",
    arguments: try Fixtures.decode([Case].self, from: "formats/bad/bad.json"))
  func bad(example: Case) throws {
    let error = #expect(throws: (any Error).self) {
      try Checkpoint(contentsOf: Fixtures.path("formats/bad/" + example.file))
    }
    let diagnostic = try #require(error as? any Diagnostic)
    #expect(diagnostic.kind == .badInput)
    #expect(diagnostic.description.contains(example.says), "\(diagnostic.description)")
  }

  @Test("Shards behind a symbolic link that leaves the folder are refused")
  func links() throws {
    let model = folder.file("model")
    try FileManager.default.createDirectory(atPath: model, withIntermediateDirectories: false)
    let index = ShardIndexText.make(["wte.weight": "a.safetensors"])
    _ = try folder.write(index, to: "model/model.safetensors.index.json")
    try FileManager.default.createSymbolicLink(
      atPath: model + "/a.safetensors", withDestinationPath: path("layers"))
    let error = #expect(throws: FileError.self) { try Checkpoint(contentsOf: model) }
    #expect(error?.kind == .badInput && error?.description.contains("symbolic link") == true)
  }

  @Test("A folder without a checkpoint, or with several, says so")
  func folders() throws {
    let error = #expect(throws: FileError.self) { try Checkpoint(contentsOf: folder.path) }
    #expect(error?.kind == .cannotOpen)
    for name in ["a.safetensors", "b.safetensors"] {
      _ = try folder.write(contents(of: path("layers")), to: name)
    }
    #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: folder.path) }
    _ = try folder.write(contents(of: path("layers")), to: "model.safetensors")
    #expect(try Checkpoint(contentsOf: folder.path).format == .safetensors)
  }
}

enum SeededBytes {
  static func make(_ count: Int) -> [UInt8] {
    var random = SeededRandom(3)
    return random.bytes(count)
  }
}

enum ShardIndexText {
  static func make(_ files: [String: String]) -> [UInt8] {
    let map = files.map { "\"\($0)\": \"\($1)\"" }.joined(separator: ", ")
    return Array("{\"weight_map\": {\(map)}}".utf8)
  }
}
