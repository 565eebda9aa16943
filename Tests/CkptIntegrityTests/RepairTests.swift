import CkptBytes
import CkptIO
import CkptIntegrity
import CkptPickle
import CkptPlatform
import CkptTestSupport
import CkptZip
import StateDictKit
import Testing

@Suite("What is left of a damaged file")
struct RepairTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Checks that each tensor of a repaired file is one of the original's, bit for bit.
  private func judge(_ repaired: RepairedCheckpoint, against original: Checkpoint) throws {
    let out = folder.file("out.pt")
    var options = WriteOptions()
    options.format = .pytorchZip
    options.dequantizes = true
    try repaired.checkpoint.write(to: out, options: options, replacingExisting: true)
    #expect(try IntegrityReport(out).isIntact)
    let written = try Checkpoint(contentsOf: out)
    #expect(try written.reachableTensorCount() == repaired.tensorCount)
    guard let place = try? original.stateDictPath() else { return }
    guard let kept = try? written.stateDict(at: place) else { return }
    let whole = try original.stateDict(at: place)
    for (key, value) in kept {
      guard let tensor = value.tensor else { continue }
      let other = try #require(whole[key], "\(key)")
      #expect(tensor.dtype == other.dtype && tensor.shape == other.shape, "\(key)")
      guard !tensor.isMeta else { continue }
      #expect(try tensor.contiguousBytes() == other.contiguousBytes(), "\(key)")
    }
  }

  @Test("Every fixture is intact, and copied as it is", arguments: Fixtures.checkpoints)
  func intact(name: String) throws {
    let path = Fixtures.path(name + ".pt")
    let repaired = try Checkpoint.repair(contentsOf: path)
    #expect(repaired.isIntact && !repaired.isIncomplete && repaired.problems.isEmpty)
    #expect(
      try repaired.tensorCount == Checkpoint(contentsOf: path).reachableTensorCount())
  }

  @Test("A fixture that is cut off gives back a part of itself", arguments: Fixtures.checkpoints)
  func cuts(name: String) throws {
    let path = Fixtures.path(name + ".pt")
    let bytes = try contents(of: path)
    let original = try Checkpoint(contentsOf: path)
    guard original.format != .torchScript else { return }
    var repairedCount = 0
    for part in 1..<24 {
      let count = bytes.count * part / 24
      let cut = try folder.write(Array(bytes.prefix(count)), to: "cut.pt")
      // A tar archive ends with zeros, which nobody needs.
      let isPadding = name == "legacy_tar" && bytes[count...].allSatisfy { $0 == 0 }
      do {
        let repaired = try Checkpoint.repair(contentsOf: cut)
        #expect(!repaired.isIntact || isPadding)
        try judge(repaired, against: original)
        repairedCount += 1
      } catch let error as any Diagnostic {
        #expect(error.kind == .badInput, "\(error)")
      }
    }
    if ["demo", "training", "many_keys"].contains(name) { #expect(repairedCount > 5) }
  }

  @Test("A wrong byte costs at most the tensors of one storage")
  func flips() throws {
    let path = Fixtures.path("training.pt")
    let bytes = try contents(of: path)
    let original = try Checkpoint(contentsOf: path)
    let count = try original.reachableTensorCount()
    var random = SeededRandom(3)
    for _ in 0..<120 {
      var damaged = bytes
      let place = Int.random(in: 0..<bytes.count, using: &random)
      damaged[place] ^= UInt8.random(in: 1...255, using: &random)
      let repaired = try Checkpoint.repair(contentsOf: folder.write(damaged, to: "bad.pt"))
      try judge(repaired, against: original)
      #expect(repaired.tensorCount + repaired.lost.count >= count, "byte \(place)")
    }
  }

  @Test("One wrong byte is found by the checksum, wherever it is")
  func singleByte() {
    var random = SeededRandom(5)
    let bytes = random.bytes(3000)
    let sum = Checksum.crc32(bytes)
    #expect(Checksum.singleWrongByte(in: bytes, recorded: sum) == nil)
    for place in [0, 1, 2, 3, 4, 1500, 2996, 2998, 2999] {
      for change: UInt8 in [1, 0x80, 0x55, 0xFF] {
        var damaged = bytes
        damaged[place] ^= change
        let found = Checksum.singleWrongByte(in: damaged, recorded: sum)
        #expect(found == .init(offset: place, original: bytes[place]))
      }
    }
    // Two wrong bytes are not one.
    var damaged = bytes
    damaged[10] ^= 1
    damaged[2000] ^= 1
    #expect(Checksum.singleWrongByte(in: damaged, recorded: sum) == nil)
  }

  @Test("Records are found without the directory, whatever is damaged around them")
  func search() throws {
    let path = Fixtures.path("many_keys.pt")
    let reader = try ZipReader(path: path)
    var bytes = try contents(of: path)
    let directory = try #require(
      reader.entries.map { try reader.dataOffset(of: $0) + $0.byteCount }.max())
    bytes.removeSubrange(directory...)
    let cut = try File(readingFrom: folder.write(bytes, to: "cut.pt"))
    let found = try ZipSearch(cut)
    #expect(!found.hasDirectory && found.gaps.isEmpty)
    #expect(found.records.map(\.name) == reader.entries.map(\.name))
    #expect(found.records.dropLast().allSatisfy { $0.state == .intact })
    #expect(found.records.last?.state == .cut)
    for (record, entry) in zip(found.records, reader.entries) {
      #expect(try record.offset == reader.dataOffset(of: entry))
      #expect(record.byteCount == entry.byteCount)
    }
  }

  @Test("Two records of one name are lost, since nothing says which is right")
  func twice() throws {
    let path = Fixtures.path("demo.pt")
    let reader = try ZipReader(path: path)
    var bytes = try contents(of: path)
    // The names in the headers and in the directory change alike.
    let (one, other) = (Array("data/0".utf8), Array("data/1".utf8))
    for start in bytes.indices.dropLast(6) where bytes[start..<start + 6].elementsEqual(one) {
      bytes.replaceSubrange(start..<start + 6, with: other)
    }
    let repaired = try Checkpoint.repair(contentsOf: folder.write(bytes, to: "twice.pt"))
    #expect(repaired.lost.contains { $0.reason.contains("two records") })
    #expect(reader.entries.count > 2)
    try judge(repaired, against: Checkpoint(contentsOf: path))
  }
}
