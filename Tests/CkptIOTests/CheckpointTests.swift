import CkptIO
import Foundation
import CkptBytes
import CkptPlatform
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Checkpoints are edited and written")
struct CheckpointTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func bytes(_ stateDict: StateDict) throws -> [String: [UInt8]] {
    var result: [String: [UInt8]] = [:]
    for (key, tensor) in stateDict.tensors { result[key] = try tensor.contiguousBytes() }
    return result
  }

  @Test("A random state dict that was written is read as it was", arguments: 0..<40)
  func roundTrip(seed: Int) throws {
    var random = SeededRandom(seed)
    let original = try randomStateDict(&random)
    try Checkpoint(original).write(to: folder.file("a.pt"))
    let read = try Checkpoint(contentsOf: folder.file("a.pt")).stateDict(at: "/")
    #expect(read.keys == original.keys)
    #expect(read.ties == original.ties)
    for (key, tensor) in original.tensors {
      let other = try #require(read[key])
      #expect(other.shape == tensor.shape && other.strides == tensor.strides)
      #expect(other.offset == tensor.offset && other.dtype == tensor.dtype)
      #expect(other.requiresGrad == tensor.requiresGrad && other.isParameter == tensor.isParameter)
    }
    #expect(try bytes(read) == bytes(original))
  }

  private func randomStateDict(_ random: inout SeededRandom) throws -> StateDict {
    let plain: [DType] = [
      .float64, .float32, .float16, .bfloat16, .int8, .int16, .int32, .int64, .uint8, .bool,
      .complex64, .complex128, .uint16, .uint32, .uint64, .float8E4M3FN, .float8E5M2,
    ]
    var result = StateDict()
    var storages: [(Storage, DType)] = []
    for number in 0..<Int.random(in: 1...20, using: &random) {
      if storages.isEmpty || random.next() % 3 > 0 {
        let count = Int.random(in: 0...600, using: &random) / 16 * 16
        storages.append(
          (
            Storage(bytes: random.bytes(count)),
            plain[Int.random(in: plain.indices, using: &random)]
          ))
      }
      let (storage, type) = storages[Int.random(in: storages.indices, using: &random)]
      let capacity = storage.byteCount / type.byteCount
      let offset = Int.random(in: 0...capacity, using: &random)
      var shape = [Int.random(in: 0...(capacity - offset), using: &random)]
      var strides = [1]
      if random.next() % 2 == 0 {
        shape.insert(Int.random(in: 1...3, using: &random), at: 0)
        strides.insert(0, at: 0)
      }
      var tensor = try Tensor(
        storage: storage, dtype: type, shape: shape, strides: strides, offset: offset)
      tensor.isParameter = type == .float32 && random.next() % 2 == 0
      tensor.requiresGrad = tensor.isParameter
      result["layer\(number).wé"] = tensor
    }
    return result
  }

  @Test("The state dict is found under its key, and everything beside it stays")
  func edit() throws {
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path("training.pt"))
    #expect(try checkpoint.stateDictPath() == "model")
    let before = try checkpoint.objectTree(depth: 20)
    let kept = try checkpoint.stateDict().filter { key, _ in key.hasSuffix("weight") }
    try checkpoint.replaceStateDict(at: "model", with: kept)
    try checkpoint.write(to: folder.file("out.pt"))
    let written = try Checkpoint(contentsOf: folder.file("out.pt"))
    #expect(try written.stateDict().keys == kept.keys)
    #expect(try bytes(written.stateDict()) == bytes(kept))
    let outside = { (lines: [ObjectLine]) in
      lines.filter { !$0.path.hasPrefix("model") && $0.path != "/" }.map { $0.path + $0.summary }
    }
    #expect(try outside(written.objectTree(depth: 20)) == outside(before))
  }

  @Test("Values of another checkpoint are copied in, ties and all")
  func merge() throws {
    let other = try Checkpoint(contentsOf: Fixtures.path("module_state_dict.pt"))
    let theirs = try other.stateDict(at: "/").renamingKeys(.addPrefix("x."))
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path("training.pt"))
    var own = try checkpoint.stateDict()
    try own.update(with: theirs, allowNew: true)
    try checkpoint.replaceStateDict(at: "model", with: own)
    try checkpoint.write(to: folder.file("out.pt"))
    let written = try Checkpoint(contentsOf: folder.file("out.pt")).stateDict(at: "model")
    #expect(written.keys == own.keys)
    #expect(try bytes(written) == bytes(own))
    #expect(written.ties == own.ties)
  }

  @Test("One part can be written alone")
  func extract() throws {
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path("training.pt"))
    let model = try checkpoint.stateDict()
    try checkpoint.extract(at: "model")
    try checkpoint.write(to: folder.file("out.pt"))
    let written = try Checkpoint(contentsOf: folder.file("out.pt"))
    #expect(try written.stateDictPath() == "/")
    #expect(try bytes(written.stateDict()) == bytes(model))
  }

  @Test("Where two state dicts could be meant, both are named")
  func candidates() throws {
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("two_candidates.pt"))
    let error = #expect(throws: CheckpointError.self) { try checkpoint.stateDictPath() }
    guard case .unclear(_, let candidates)? = error else {
      Issue.record("another error")
      return
    }
    #expect(candidates.count == 2)
    for candidate in candidates {
      #expect(try checkpoint.stateDict(at: candidate.path).tensors.count == candidate.tensorCount)
    }
  }

  @Test("A path that leads nowhere says what is there")
  func paths() throws {
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("training.pt"))
    let error = #expect(throws: CheckpointError.self) { try checkpoint.stateDict(at: "mdoel") }
    #expect(error?.hint?.contains("model") == true)
    #expect(
      message(of: CheckpointError.self) { try checkpoint.stateDict(at: "model/none") }
        == "there is no \"none\" in model (\(Fixtures.path("training.pt")))")
    #expect(
      message(of: CheckpointError.self) { try checkpoint.stateDict(at: "epoch") }
        == "is no mapping from keys to tensors but 3 (\(Fixtures.path("training.pt")), object epoch)"
    )
  }

  @Test("The output may not be lost: an existing file stays unless it is to be replaced")
  func existing() throws {
    let path = try folder.write([1, 2, 3], to: "out.pt")
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path("one_tensor.pt"))
    #expect(throws: FileError.self) { try checkpoint.write(to: path) }
    #expect(try contents(of: path) == [1, 2, 3])
    try checkpoint.write(to: path, replacingExisting: true)
    #expect(try Checkpoint(contentsOf: path).objectTree().count == checkpoint.objectTree().count)
  }

  @Test("A checkpoint can be written over itself")
  func overItself() throws {
    let path = try folder.write(contents(of: Fixtures.path("training.pt")), to: "a.pt")
    var checkpoint = try Checkpoint(contentsOf: path)
    let kept = try checkpoint.stateDict().filter(include: "weight")
    try checkpoint.replaceStateDict(at: "model", with: kept)
    try checkpoint.write(to: path, replacingExisting: true)
    #expect(try bytes(Checkpoint(contentsOf: path).stateDict()) == bytes(kept))
  }

  @Test("Plain data is what torch.load(weights_only=True) takes: every change is told")
  func plain() throws {
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path("python_objects.pt"))
    let changes = try checkpoint.makePlain()
    #expect(!changes.isEmpty)
    #expect(changes.contains { $0.path == "namespace" })
    #expect(try checkpoint.makePlain().isEmpty)
  }

  @Test("Places are named as --at takes them, through lists and tuples")
  func positions() throws {
    var checkpoint = try Checkpoint(contentsOf: Fixtures.path("cycles.pt"))
    #expect(try checkpoint.makePlain().map(\.path) == ["2", "3"])
    checkpoint = try Checkpoint(contentsOf: Fixtures.path("protocol_4.pt"))
    for line in try checkpoint.objectTree(depth: 9) where line.sameAs == nil {
      #expect(try checkpoint.objectTree(at: line.path, depth: 0).first?.summary == line.summary)
    }
  }

  @Test("The planned size is the size")
  func planned() throws {
    for name in ["training", "demo", "many_keys"] {
      let checkpoint = try Checkpoint(contentsOf: Fixtures.path(name + ".pt"))
      let path = folder.file(name + ".pt")
      let planned = try checkpoint.plannedByteCount(for: path)
      try checkpoint.write(to: path)
      #expect(try contents(of: path).count == planned)
    }
  }
}
