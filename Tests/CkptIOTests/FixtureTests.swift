import CkptIO
import Foundation
import StateDictKit
import CkptTestSupport
import Testing
import CkptZip

/// What PyTorch says is in a fixture (`fixtures/generate.py`).
struct Description: Decodable {
  struct Entry: Decodable {
    struct Scheme: Decodable {
      var scale: Double?
      var zero_point: Int?
      var axis: Int?
      var scales: [Double]?
      var zero_points: [Double]?
    }
    let key: String
    let dtype: String
    let shape: [Int]
    let stride: [Int]
    let storage_offset: Int
    let storage: Int?
    let requires_grad: Bool
    let sha256: String?
    let quantization: Scheme?
  }
  /// Where PyTorch's state dict is; nil if the fixture is about other objects.
  let at: String?
  let identical: Bool
  let metadata: [String]?
  let tensors: [Entry]?
}

@Suite("What PyTorch wrote is read as PyTorch reads it")
struct FixtureTests {
  @Test("Keys, dtypes, shapes, strides, offsets, sharing and values", arguments: Fixtures.described)
  func read(name: String) throws {
    let expected = try Fixtures.decode(Description.self, from: name + ".json")
    let checkpoint = try Checkpoint(contentsOf: Fixtures.path(name + ".pt"))
    guard let at = expected.at, let tensors = expected.tensors else { return }
    let stateDict = try checkpoint.stateDict(at: at)
    #expect(stateDict.tensors.map(\.key) == tensors.map(\.key))
    // A TorchScript module has its state dict made for it; nothing in the file is its metadata.
    if checkpoint.format == .pytorchZip {
      #expect(stateDict.metadata.map { $0.map(\.module) } == expected.metadata)
    }
    var storages: [ObjectIdentifier: Int] = [:]
    for entry in tensors {
      let tensor = try #require(stateDict[entry.key])
      #expect(tensor.dtype.name == entry.dtype, "\(entry.key)")
      #expect(tensor.shape == entry.shape, "\(entry.key)")
      #expect(tensor.strides == entry.stride, "\(entry.key)")
      #expect(tensor.offset == entry.storage_offset, "\(entry.key)")
      #expect(tensor.requiresGrad == entry.requires_grad, "\(entry.key)")
      if let number = entry.storage {
        let identity = ObjectIdentifier(tensor.storage)
        #expect(storages[identity, default: number] == number, "\(entry.key)")
        storages[identity] = number
      }
      try compare(tensor.quantization, entry.quantization, entry.key)
      // PyTorch's sum is over the values; a conjugate or negative view holds others.
      guard let sum = entry.sha256, !tensor.isConjugate, !tensor.isNegative else { continue }
      #expect(sha256(try tensor.contiguousBytes()) == sum, "\(entry.key)")
    }
    #expect(Set(storages.values).count == storages.count)
  }

  private func compare(
    _ found: Quantization?, _ expected: Description.Entry.Scheme?, _ key: String
  ) throws {
    switch found {
    case nil: #expect(expected == nil, "\(key)")
    case .perTensor(let scale, let zeroPoint)?:
      #expect(scale == expected?.scale && zeroPoint == expected?.zero_point, "\(key)")
    case .perChannel(let axis, let scales, let zeroPoints)?,
      .perChannelFloat(let axis, let scales, let zeroPoints)?:
      #expect(axis == expected?.axis && scales == expected?.scales, "\(key)")
      #expect(zeroPoints == expected?.zero_points, "\(key)")
    }
  }

  @Test("data.pkl, decoded and encoded, is the same bytes", arguments: Fixtures.described)
  func pickle(name: String) throws {
    guard try Fixtures.decode(Description.self, from: name + ".json").identical else { return }
    let path = Fixtures.path(name + ".pt")
    let folder = try TemporaryFolder()
    try Checkpoint(contentsOf: path).write(to: folder.file("out.pt"))
    let (before, after) = (try ZipReader(path: path), try ZipReader(path: folder.file("out.pt")))
    #expect(try pickle(after) == pickle(before))
  }

  private func pickle(_ reader: ZipReader) throws -> [UInt8] {
    let entry = try #require(reader.entries.first { $0.name.hasSuffix("/data.pkl") })
    return try reader.read(entry, limit: 1 << 30)
  }

  @Test(
    "A checkpoint written anew holds the same, and is the same bytes each time",
    arguments: Fixtures.checkpoints.filter { !$0.hasPrefix("torchscript") })
  func rewrite(name: String) throws {
    let folder = try TemporaryFolder()
    let original = try Checkpoint(contentsOf: Fixtures.path(name + ".pt"))
    try original.write(to: folder.file("first.pt"))
    let first = try Checkpoint(contentsOf: folder.file("first.pt"))
    let lines = { (checkpoint: Checkpoint) in
      try checkpoint.objectTree(depth: 20).map { "\($0.path) \($0.summary) \($0.sameAs ?? "")" }
    }
    #expect(try lines(first) == lines(original))
    try FileManager.default.createDirectory(
      atPath: folder.file("again"), withIntermediateDirectories: false)
    try first.write(to: folder.file("again/first.pt"))
    #expect(
      try contents(of: folder.file("again/first.pt")) == contents(of: folder.file("first.pt")))
  }
}
