import Foundation
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Ties that a file without sharing records")
struct RecordedTieTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func tied() throws -> StateDict {
    let embedding = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    return StateDict([
      "embed": embedding, "norm": try Tensor([5] as [Float], shape: [1]), "head": embedding,
      "decoder": embedding,
    ])
  }

  private func bytes(_ stateDict: StateDict) throws -> [String: [UInt8]] {
    try Dictionary(
      uniqueKeysWithValues: stateDict.tensors.map { ($0.key, try $0.tensor.contiguousBytes()) })
  }

  @Test(
    "They come back with the tensors, in one file and in shards",
    arguments: ["a.safetensors", "s/model.safetensors.index.json"])
  func back(name: String) throws {
    if name.hasPrefix("s/") { try Folder.create(at: folder.file("s")) }
    var options = WriteOptions()
    options.maxShardByteCount = 16
    try Checkpoint(tied()).write(to: folder.file(name), options: options)
    let read = try Checkpoint(contentsOf: folder.file(name))
    #expect(try bytes(read.stateDict()) == bytes(tied()))
    #expect(try read.stateDict().ties == [["embed", "head", "decoder"]])
    #expect(read.metadata.map(\.key) == ["format"])
    try read.write(to: folder.file("back.pt"))
    #expect(
      try Checkpoint(contentsOf: folder.file("back.pt")).stateDict().ties == [
        ["embed", "head", "decoder"]
      ])
    // Written again it is the same file.
    if !name.hasPrefix("s/") {
      try read.write(to: folder.file("again.safetensors"))
      #expect(try contents(of: folder.file("again.safetensors")) == contents(of: folder.file(name)))
    }
  }

  @Test("A name that was dropped, renamed or untied since does not come back")
  func gone() throws {
    try Checkpoint(tied()).write(to: folder.file("a.safetensors"))
    let read = try Checkpoint(contentsOf: folder.file("a.safetensors"))
    func rewritten(_ stateDict: StateDict, _ name: String) throws -> StateDict {
      var changed = read
      try changed.replaceStateDict(at: "/", with: stateDict)
      try changed.write(to: folder.file(name))
      return try Checkpoint(contentsOf: folder.file(name)).stateDict()
    }
    let all = try read.stateDict()
    let dropped = try rewritten(all.filter { key, _ in key != "head" }, "b.safetensors")
    #expect(Set(dropped.keys) == ["embed", "norm", "decoder"])
    let renamed = try rewritten(all.renamingKeys(.addPrefix("x.")), "c.safetensors")
    #expect(Set(renamed.keys) == ["x.embed", "x.norm", "x.head", "x.decoder"])
    #expect(renamed.ties.map(Set.init) == [["x.embed", "x.head", "x.decoder"]])
    var untied = all
    untied["head"] = try Tensor([9, 9, 9, 9] as [Float], shape: [2, 2])
    let apart = try rewritten(untied, "d.safetensors")
    #expect(apart.ties.map(Set.init) == [["embed", "decoder"]])
    #expect(try apart["head"]?.floats() == [9, 9, 9, 9])
    // Without the first, the next is written, and stands for the third.
    let other = try rewritten(all.filter { key, _ in key != "embed" }, "e.safetensors")
    #expect(Set(other.keys) == ["norm", "head", "decoder"])
    #expect(other.ties.map(Set.init) == [["head", "decoder"]])
  }
}

@Suite("Which files an input is")
struct InputIdentityTests {
  @Test("Links of either kind, folders and indexes lead to the same input, copies do not")
  func identity() throws {
    let folder = try TemporaryFolder()
    let stateDict = StateDict(["w": try Tensor([1] as [Float], shape: [1])])
    try Folder.create(at: folder.file("model"))
    let path = folder.file("model/model.safetensors")
    try Checkpoint(stateDict).write(to: path)
    let manager = FileManager.default
    try manager.createSymbolicLink(atPath: folder.file("symbolic"), withDestinationPath: path)
    try manager.linkItem(atPath: path, toPath: folder.file("hard"))
    try manager.createSymbolicLink(
      atPath: folder.file("linked"), withDestinationPath: folder.file("model"))
    try TemporaryFolder.copy(path, to: folder.file("copy"))
    let input = try Checkpoint(contentsOf: path)
    for same in ["model", "model/", "symbolic", "hard", "linked", "model/../hard"] {
      #expect(try Checkpoint(contentsOf: folder.file(same)).isSameInput(as: input), "\(same)")
    }
    #expect(try !Checkpoint(contentsOf: folder.file("copy")).isSameInput(as: input))
    var options = WriteOptions()
    options.maxShardByteCount = 4
    let two = StateDict([
      "a": try #require(stateDict["w"]), "b": try Tensor([1] as [Float], shape: [1]),
    ])
    try Folder.create(at: folder.file("s"))
    let index = folder.file("s/model.safetensors.index.json")
    try Checkpoint(two).write(to: index, options: options)
    let sharded = try Checkpoint(contentsOf: index)
    #expect(try Checkpoint(contentsOf: folder.file("s")).isSameInput(as: sharded))
    let shard = try Checkpoint(contentsOf: folder.file("s/model-00001-of-00002.safetensors"))
    #expect(!shard.isSameInput(as: sharded))
    #expect(try !Checkpoint(stateDict).isSameInput(as: Checkpoint(stateDict)))
  }
}
