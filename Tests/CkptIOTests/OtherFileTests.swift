import CkptPlatform
import CkptIO
import CkptIntegrity
import CkptScanning
import Foundation
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Files that are something else are named for what they are")
struct OtherFileTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static func file(_ parts: [Any]) -> [UInt8] {
    parts.flatMap { part -> [UInt8] in
      switch part {
      case let text as String: Array(text.utf8)
      case let bytes as [Int]: bytes.map { UInt8($0) }
      default: []
      }
    }
  }

  private static let zeros = [Int](repeating: 0, count: 80)

  /// A tar archive of one member, as `tarfile` writes it.
  private static func tar(_ name: String, magic: String = "ustar\u{0}00") -> [UInt8] {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ position: Int) {
      for (number, byte) in text.utf8.enumerated() { block[position + number] = byte }
    }
    put(name, 0)
    put("0000644\u{0}", 100)
    put("00000000004\u{0}", 124)
    put("00000000000\u{0}", 136)
    put("        ", 148)
    put("0", 156)
    put(magic, 257)
    let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
    put(String(repeating: "0", count: 6 - sum.count) + sum + "\u{0} ", 148)
    return block + Array("abcd".utf8) + [UInt8](repeating: 0, count: 508 + 1024)
  }

  /// What files begin with, by the formats' own definitions, and a word that names each.
  static let kinds: [(word: String, advice: String, bytes: [UInt8])] = {
    var all: [(word: String, advice: String, bytes: [UInt8])] = []
    func add(_ word: String, _ advice: String, _ bytes: [UInt8]) {
      all.append((word, advice, bytes))
    }
    add("empty", "again", [])
    add(
      "Git LFS", "git lfs pull",
      file([
        "version https://git-lfs.github.com/spec/v1\noid sha256:",
        String(repeating: "0f", count: 32),
        "\nsize 9942981696\n",
      ])
    )
    add("Xet", "hf download", file(["# xet version 0\nfilesize = 1\n"]))
    add("git-annex", "git annex get", file(["/annex/objects/SHA256E-s1--00.pt\n"]))
    add("DVC", "dvc pull", file(["outs:\n- md5: 00\n  size: 3\n  path: model.pt\n"]))
    add("HTML", "login", file(["\n <!DOCTYPE html>\n<html></html>"]))
    add("HTML", "login", file([[0xEF, 0xBB, 0xBF], "<HTML><body>"]))
    add("XML", "answer", file(["<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"]))
    add("JSON", "answer", file(["{\"error\": \"Repository not found\"}"]))
    add("JSON", "model.safetensors", file(["[1, 2, 3]"]))
    add("JSON", "model.safetensors", file([" {\"model_type\": \"bert\"}"]))
    add("TensorFlow", "tf.train", file(["model_checkpoint_path: \"model.ckpt-7\"\n"]))
    add("text", "weights", file(["epoch: 3\nlr: 0.1\n"]))
    add("HDF5", "h5py", file([[0x89], "HDF\r\n", [0x1A, 0x0A], zeros]))
    add(
      "HDF5", "h5py", [UInt8](repeating: 0, count: 1024) + file([[0x89], "HDF\r\n", [0x1A, 0x0A]])
    )
    add("ONNX", "convert", file([[8, 7, 0x12, 7], "pytorch", [0x1A, 5], "1.9:", zeros]))
    add("ONNX", "convert", file([[8, 8, 0x3A, 40, 0x0A, 38], "node", zeros]))
    add(
      "Core ML", "convert",
      file([[8, 5, 0x12, 20, 0x0A, 10, 0x0A, 5], "image", [0x1A, 1], zeros])
    )
    add(
      "SavedModel", "tf.train",
      file([[8, 1, 0x12, 0x80, 2, 0x0A, 100, 0x12, 90, 0x0A, 3, 0x0A, 1], "A", zeros])
    )
    add("TensorFlow", "tf.train", file([zeros, [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB]]))
    add(
      "TensorBoard", "run",
      file([[0x18, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 9, 0, 0], "brain.Event:2"])
    )
    add("Lite", "convert", file([[0x1C, 0, 0, 0], "TFL3", zeros]))
    add("ExecuTorch", "convert", file([[0x1C, 0, 0, 0], "ET12", zeros]))
    add("ONNX Runtime", "convert", file([[0x1C, 0, 0, 0], "ORTM", zeros]))
    add("MXNet", "mxnet", file([[0x12, 1, 0, 0, 0, 0, 0, 0], zeros]))
    add("Darknet", "convert", file([[0, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0], zeros]))
    add("ggjt", "GGUF", file(["tjgg", [1, 0, 0, 0], zeros]))
    add("gzip", "gunzip", file([[0x1F, 0x8B, 8], zeros]))
    add("bzip2", "bunzip2", file(["BZh9", [0x31, 0x41, 0x59, 0x26, 0x53, 0x59], zeros]))
    add("xz", "unxz", file([[0xFD], "7zXZ", [0], zeros]))
    add("zstd", "zstd -d", file([[0x28, 0xB5, 0x2F, 0xFD], zeros]))
    add("7-Zip", "7z x", file(["7z", [0xBC, 0xAF, 0x27, 0x1C], zeros]))
    add("RAR", "unrar", file(["Rar!", [0x1A, 7, 1, 0], zeros]))
    add(
      "msgpack", "flax",
      file([[0x82, 0xA6], "params", [0x81, 0xA6], "kernel", [1, 0xA4], "step", [5]])
    )
    add(
      "msgpack", "flax", file([[0xDE, 0, 16, 0xD9, 40], String(repeating: "k", count: 40), [1]]))
    add("NeMo", "tar -xf", tar("./model_config.yaml"))
    add("tar", "weights.ckpt", tar("weights.ckpt"))
    add("tar", "tar -xf", tar("a.txt", magic: "ustar  "))
    add("tar", "tar -xf", tar("a.txt", magic: ""))
    add("PNG", "another file", file([[0x89], "PNG\r\n", [0x1A, 0x0A], zeros]))
    add("JPEG", "another file", file([[0xFF, 0xD8, 0xFF, 0xE0], zeros]))
    add("PDF", "another file", file(["%PDF-1.7\n", [0xE2, 0xE3]]))
    add("ELF", "another file", file([[0x7F], "ELF", zeros]))
    add(
      "Windows", "another file",
      file([
        "MZ", [Int](repeating: 1, count: 58), [64, 0, 0, 0], "PE", [0, 0], zeros,
      ])
    )
    add("zeros", "again", [UInt8](repeating: 0, count: 4000))
    add("no format", "again", (0..<600).map { UInt8($0 * 37 & 255) | 0x90 })
    return all
  }()

  @Test("Every command's way in says the same, with what to do", arguments: kinds.indices)
  func named(number: Int) throws {
    let (word, advice, bytes) = Self.kinds[number]
    let path = try folder.write(bytes, to: "file.pt")
    let error = #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: path) }
    guard case .otherFile(_, let other)? = error else {
      Issue.record("\(word): \(String(describing: error))")
      return
    }
    #expect(other.name.contains(word), "\(other.name)")
    #expect(other.hint.contains(advice), "\(other.hint)")
    #expect(throws: error.map { $0 } ?? CheckpointError.otherFile(file: "", other)) {
      try IntegrityReport(path)
    }
    if !["text", "no format"].contains(word) {
      // What could hold something that runs is told of; the rest is not scanned.
      do {
        let report = try ScanReport(path)
        // The tar archives hold a file of text, which was looked at.
        let isLookedInto = ["tar", "NeMo"].contains(word)
        #expect(report.verdict == (isLookedInto ? .safe : .unknown), "\(report)")
      } catch let error as CheckpointError {
        #expect(error.otherFile?.name == other.name)
      }
    }
  }

  @Test("A folder that holds one says so")
  func folders() throws {
    for (number, (word, _, bytes)) in Self.kinds.enumerated()
    where !["JSON", "text", "no format"].contains(word) {
      let inner = try TemporaryFolder()
      _ = try inner.write(Array("{}".utf8), to: "config.json")
      _ = try inner.write(bytes, to: "weights.bin")
      let error = #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: inner.path) }
      #expect(error?.description.contains(word) == true, "\(number)")
    }
    let tensorFlow = try TemporaryFolder()
    _ = try tensorFlow.write([8, 1], to: "saved_model.pb")
    let error = #expect(throws: CheckpointError.self) {
      try Checkpoint(contentsOf: tensorFlow.path)
    }
    #expect(error?.description.contains("SavedModel") == true)
    // In a shard's or model's place, too.
    let hub = try TemporaryFolder()
    _ = try hub.write(Self.kinds[1].bytes, to: "model.safetensors")
    let pointer = #expect(throws: CheckpointError.self) { try Checkpoint(contentsOf: hub.path) }
    #expect(pointer?.hint?.contains("git lfs pull") == true)
  }

  @Test("A header whose length looks like another format's mark is a header")
  func lengths() throws {
    for mark in [[0x4D, 0x5A], [0x42, 0x4D], [0x50, 0x4B], [0x1F, 0x8B, 8], [0x82, 0xA6]] {
      let length = mark.reversed().reduce(0) { $0 << 8 | $1 }
      var header = Array(#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.utf8)
      header += [UInt8](repeating: 32, count: length - header.count)
      let size = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
      let path = try folder.write(size + header + [0, 0, 0, 0], to: "x.safetensors")
      #expect(try Checkpoint(contentsOf: path).stateDict().keys == ["w"])
    }
  }

  @Test("An index stays an index, and PyTorch's own archives stay checkpoints")
  func own() throws {
    let index = try folder.write(
      Array(#"{"weight_map": {"a": "none.safetensors"}}"#.utf8), to: "x.index.json")
    let error = #expect(throws: (any Error).self) { try Checkpoint(contentsOf: index) }
    #expect(
      (error as? CheckpointError).map { if case .otherFile = $0 { true } else { false } } != true)
    for name in ["bad/half.pt"] {
      let error = #expect(throws: (any Error).self) {
        try Checkpoint(contentsOf: Fixtures.path(name))
      }
      #expect("\(error.map { "\($0)" } ?? "")".contains("cut off"))
    }
  }
}
