import CkptText
import CkptIO
import CkptPickle
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Plain data")
struct PlainDataTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// What becomes of an object; nil for None.
  private func plain(_ add: (inout PickleGraph) -> PickleGraph.Ref) throws -> (
    type: String, text: String
  ) {
    var graph = PickleGraph()
    graph.root = graph.addDict(["x": add(&graph)])
    var checkpoint = try Checkpoint(contentsOf: folder.archive(graph))
    _ = try checkpoint.makePlain()
    let path = folder.file("plain.pt")
    try checkpoint.write(to: path, replacingExisting: true)
    let written = try Checkpoint(contentsOf: path).value(at: "x")
    return (written.type, written.value.text(.oneLine))
  }

  // As str() of CPython 3.11's pathlib gives them.
  @Test(
    "Paths become what str() gives",
    arguments: [
      ("PureWindowsPath", ["C:\\", "runs", "best.pt"], #"C:\runs\best.pt"#),
      ("PureWindowsPath", ["\\\\host\\share\\", "x"], #"\\host\share\x"#),
      ("PureWindowsPath", ["\\\\host\\share\\"], #"\\host\share\"#),
      ("WindowsPath", ["C:", "a"], #"C:a"#), ("WindowsPath", ["a/b", "c"], #"a\b\c"#),
      ("WindowsPath", ["c:\\a", "d:\\b"], #"d:\b"#), ("WindowsPath", ["c:\\a", "\\b"], #"c:\b"#),
      ("WindowsPath", [], "."), ("PurePosixPath", ["/", "a", "b"], "/a/b"),
      ("PosixPath", ["//", "a"], "//a"), ("PosixPath", ["///a"], "/a"),
      ("PosixPath", ["a", "/b"], "/b"), ("PosixPath", ["a/./b//c/"], "a/b/c"),
      ("PosixPath", [], "."),
    ] as [(String, [String], String)], ["pathlib", "pathlib._local"])
  func paths(path: (String, [String], String), module: String) throws {
    let found = try plain { graph in
      graph.addCall(module, path.0, path.1.map { graph.addString($0) })
    }
    #expect(found.type == "str")
    #expect(found.text == JSONValue.string(path.2).text(.oneLine))
  }

  @Test("numpy's numbers keep their values, in both byte orders")
  func scalars() throws {
    func scalar(_ code: String, _ order: String, _ bytes: [UInt8]) throws -> String {
      try plain { graph in
        let dtype = graph.addCall(
          "numpy", "dtype", [graph.addString(code), graph.addInt(0), graph.addInt(1)])
        let state =
          [graph.addInt(3), graph.addString(order)] + (0..<3).map { _ in graph.add(.none) }
        let tuple = graph.addTuple(state)
        guard var body = graph.body(of: dtype) else { return dtype }
        body.edits = [.build(tuple)]
        graph.replaceBody(of: dtype, with: body)
        let data = graph.add(.byteString(graph.intern(bytes)))
        return graph.addCall("numpy.core.multiarray", "scalar", [dtype, data])
      }.text
    }
    #expect(try scalar("f4", "<", [0, 0, 0x80, 0x3F]) == "1.0")
    #expect(try scalar("f4", ">", [0x3F, 0x80, 0, 0]) == "1.0")
    #expect(try scalar("i2", ">", [0xFF, 0xFE]) == "-2")
    #expect(try scalar("u8", "<", [UInt8](repeating: 255, count: 8)) == "18446744073709551615")
    #expect(try scalar("b1", "|", [1]) == "true")
    #expect(try scalar("U2", "<", [0x61, 0, 0, 0, 0, 0, 0, 0]) == #""a""#)
    // Of what Python has no plain value for, None stands there.
    #expect(try scalar("f16", "<", [UInt8](repeating: 0, count: 16)) == "null")
    #expect(try scalar("f4", "<", [0, 0]) == "null")
  }

  @Test("Text of Python 2 becomes text if it is UTF-8, and bytes if not")
  func oldText() throws {
    func text(_ bytes: [UInt8]) throws -> (type: String, text: String) {
      try plain { graph in graph.add(.byteString(graph.intern(bytes))) }
    }
    #expect(try text(Array("café".utf8)).text == #""café""#)
    #expect(try text([UInt8](repeating: 0x61, count: 300)).type == "str")
    #expect(try text([0x8C, 0xFF]).type == "bytes")
    #expect(try text([UInt8](repeating: 0xFF, count: 300)).type == "bytes")
  }

  @Test("Keys that would be lost or that Python cannot look up are refused by name")
  func keys() throws {
    func refused(_ key: (inout PickleGraph) -> PickleGraph.Ref) throws {
      var graph = PickleGraph()
      let pair = PickleGraph.Edit.setItem(key: key(&graph), value: graph.addInt(1))
      graph.root = graph.addDict(["inner": graph.addObject(.dict, edits: [pair])])
      var checkpoint = try Checkpoint(contentsOf: folder.archive(graph))
      #expect {
        try checkpoint.makePlain()
      } throws: { error in
        guard case CheckpointError.cannotBePlain(_, let objects) = error else { return false }
        return objects.count == 1 && objects[0].hasPrefix("inner ")
      }
    }
    try refused { $0.addCall("nobody", "knows", []) }
    try refused { graph in
      graph.addCall("__builtin__", "frozenset", [graph.addObject(.list)])
    }
    try refused { graph in
      graph.addTuple([graph.addInt(1), graph.addCall("nobody", "knows", [])])
    }
  }
}
