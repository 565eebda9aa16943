import CkptText
import CkptBytes
import CkptIO
import Foundation
import CkptPickle
import StateDictKit
import CkptTestSupport
import Testing

/// The parts of pickles that numpy writes, put together by hand; scripts/interop holds the reader against numpy's own.
private enum Opcodes {
  /// SHORT_BINSTRING.
  static func text(_ text: String) -> [UInt8] {
    var result: [UInt8] = [0x55, UInt8(text.utf8.count)]
    result += text.utf8
    return result
  }

  /// BINBYTES8.
  static func bytes(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = [0x8E]
    for position in 0..<8 {
      result.append(UInt8(truncatingIfNeeded: bytes.count >> (8 * position)))
    }
    result += bytes
    return result
  }

  /// `numpy.dtype(code, 0, 1)` with the byte order.
  static func dtype(_ code: String, _ order: String) -> [UInt8] {
    var result = Array("cnumpy\ndtype\n(".utf8)
    result += text(code)
    result += [0x4B, 0, 0x4B, 1]
    result += "tR(K\u{3}".utf8
    result += text(order)
    result += "NNNJ".utf8
    result += [255, 255, 255, 255, 0x4A, 255, 255, 255, 255, 0x4B, 0]
    result += "tb".utf8
    return result
  }

  /// An array, as `array_reduce` has it.
  static func array(
    _ code: String, _ order: String = "<", shape: [UInt8], fortran: Bool = false, _ data: [UInt8]
  ) -> [UInt8] {
    var result = Array("cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK".utf8)
    result += [0, 0x85]
    result += text("b")
    result += "tR(K\u{1}(".utf8
    for size in shape { result += [0x4B, size] }
    result += "t".utf8
    result += dtype(code, order)
    result.append(fortran ? 0x88 : 0x89)
    result += bytes(data)
    result += "tb".utf8
    return result
  }

  /// A dict of those values, of protocol 4.
  static func dict(_ entries: [(String, [UInt8])]) -> [UInt8] {
    var result: [UInt8] = [0x80, 4, 0x7D, 0x28]
    for (key, value) in entries {
      result += text(key)
      result += value
    }
    result += "u.".utf8
    return result
  }
}

@Suite("Pickles of arrays")
struct PickledArrayTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func pickle(_ entries: [(String, [UInt8])]) throws -> Checkpoint {
    try Checkpoint(contentsOf: folder.write(Opcodes.dict(entries), to: "x.pkl"))
  }

  @Test("Arrays of both byte orders and layouts are tensors, whose bytes stay in the file")
  func reading() throws {
    let numbers = (0..<300).map { UInt8(truncatingIfNeeded: $0) }
    let checkpoint = try pickle([
      ("little", Opcodes.array("i2", shape: [2, 75], numbers)),
      ("big", Opcodes.array("i2", ">", shape: [150], numbers)),
      ("fortran", Opcodes.array("u1", "|", shape: [2, 3], fortran: true, [1, 2, 3, 4, 5, 6])),
      ("scalar", Opcodes.array("f4", shape: [], [0, 0, 0x80, 0x3F])),
      ("flags", Opcodes.array("b1", "|", shape: [3], [1, 0, 1])),
    ])
    #expect(checkpoint.format == .pickle)
    let stateDict = try checkpoint.stateDict()
    #expect(stateDict.keys == ["little", "big", "fortran", "scalar", "flags"])
    let little = try #require(stateDict["little"])
    #expect(little.dtype == .int16)
    #expect(little.shape == [2, 75])
    #expect(try little.contiguousBytes() == numbers)
    guard case .region = little.storage.source else {
      Issue.record("the bytes are in memory")
      return
    }
    let turned = stride(from: 0, to: 300, by: 2).flatMap { [numbers[$0 + 1], numbers[$0]] }
    #expect(try stateDict["big"]?.contiguousBytes() == turned)
    #expect(try stateDict["fortran"]?.contiguousBytes() == [1, 3, 5, 2, 4, 6])
    #expect(try stateDict["scalar"]?.floats() == [1])
    #expect(stateDict["flags"]?.dtype == .bool)
    #expect(try checkpoint.value(at: "flags").type == "numpy.ndarray")
    #expect(
      try checkpoint.value(at: "flags").value.text(.oneLine)
        == #"{"dtype": "bool", "shape": [3], "values": [true, false, true]}"#)
  }

  @Test("An array stays an array in an archive, and becomes a tensor where data must be plain")
  func writing() throws {
    let numbers = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    var checkpoint = try pickle([
      ("w", Opcodes.array("u1", "|", shape: [250, 4], numbers))
    ])
    let kept = folder.file("kept.pt")
    try checkpoint.write(to: kept)
    let again = try Checkpoint(contentsOf: kept)
    #expect(try again.value(at: "w").type == "numpy.ndarray")
    #expect(try again.stateDict()["w"]?.contiguousBytes() == numbers)
    let changes = try checkpoint.makePlain()
    #expect(changes.map(\.path) == ["w"])
    let plain = folder.file("plain.pt")
    try checkpoint.write(to: plain)
    let written = try Checkpoint(contentsOf: plain)
    #expect(try written.value(at: "w").type == "tensor")
    #expect(try written.stateDict()["w"]?.contiguousBytes() == numbers)
  }

  @Test("An array copied into another checkpoint takes its bytes along")
  func copying() throws {
    let numbers = [UInt8](repeating: 9, count: 200)
    let array = try pickle([("w", Opcodes.array("u1", "|", shape: [200], numbers))])
    var other = try Checkpoint(try array.stateDict().renamed(to: "moved"))
    _ = try other.value(at: "/")
    let path = folder.file("copied.pt")
    try other.write(to: path)
    other = try Checkpoint(contentsOf: path)
    #expect(try other.stateDict()["moved"]?.contiguousBytes() == numbers)
    #expect(try other.value(at: "moved").type == "numpy.ndarray")
  }

  @Test("Arrays whose bytes are too few or too many are refused", arguments: [0, 11, 13, 200])
  func damaged(count: Int) {
    #expect(throws: CheckpointError.self) {
      try pickle([
        ("w", Opcodes.array("f4", shape: [3], [UInt8](repeating: 1, count: count)))
      ])
    }
  }

  @Test(
    "Arrays that no tensor can be are objects", arguments: ["O8", "U2", "S4", "V8", "M8", "f16"])
  func others(code: String) throws {
    let stateDict = try pickle([
      ("x", Opcodes.array(code, shape: [2], [UInt8](repeating: 1, count: 16))),
      ("w", Opcodes.array("f4", shape: [1], [0, 0, 0, 0])),
    ]).stateDict()
    #expect(stateDict["x"] == nil)
    #expect(stateDict["w"]?.shape == [1])
  }

  @Test("Beside tensors of PyTorch's a dict of arrays is no state dict")
  func beside() throws {
    var graph = PickleGraph()
    let tensor = graph.addTensor(0, shape: [2])
    let data = graph.add(.bytes(graph.intern([1, 2, 3, 4])))
    let dtype = graph.addCall(
      "numpy", "dtype", [graph.addString("u1"), graph.addBool(false), graph.addBool(true)])
    let array = graph.addCall(
      "numpy._core.numeric", "_frombuffer", [data, dtype, graph.addInts([4]), graph.addString("C")])
    let model = graph.addDict(["weight": tensor])
    let state = graph.addDict(["keys": array])
    graph.root = graph.addDict(["rng": state, "model": model])
    let checkpoint = try Checkpoint(contentsOf: folder.archive(graph, [[0, 0, 0, 0, 0, 0, 0, 0]]))
    #expect(try checkpoint.stateDictPath() == "model")
    #expect(try checkpoint.stateDict(at: "rng")["keys"]?.contiguousBytes() == [1, 2, 3, 4])
  }

  @Test(
    "What merely looks like a pickle is none",
    arguments: ["(.", "}", "]", "cat dog\n", "(a)", "{\"a\": 1}", "}.tail", "(I1\n.", "I5\n."])
  func none(text: String) throws {
    let path = try folder.write(Array(text.utf8), to: "x.txt")
    #expect(throws: (any Error).self) { try Checkpoint(contentsOf: path) }
  }

  @Test("Bytes changed anywhere in a pickle lead to an error or a checkpoint, never a crash")
  func fuzzed() throws {
    let bytes = Opcodes.dict([
      ("w", Opcodes.array("i2", ">", shape: [2, 75], [UInt8](repeating: 3, count: 300))),
      ("v", Opcodes.array("f4", shape: [2], fortran: true, [UInt8](repeating: 3, count: 8))),
    ])
    var random = SeededRandom(3)
    for _ in 0..<2000 {
      var changed = bytes
      for _ in 0...Int.random(in: 0...2, using: &random) {
        changed[Int.random(in: 2..<bytes.count, using: &random)] = UInt8(
          truncatingIfNeeded: random.next())
      }
      do {
        let checkpoint = try Checkpoint(contentsOf: folder.write(changed, to: "x.pkl"))
        for (_, tensor) in try checkpoint.stateDict().tensors where tensor.byteCount < 1 << 20 {
          _ = try tensor.contiguousBytes()
        }
        try checkpoint.write(to: folder.file("out.pt"), replacingExisting: true)
      } catch is any Diagnostic {}
    }
  }
}

extension StateDict {
  /// The only value under another key.
  fileprivate func renamed(to key: String) throws -> StateDict {
    var result = StateDict()
    for (_, value) in self { result.setValue(value, for: key) }
    return result
  }
}
