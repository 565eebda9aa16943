import CkptBytes
import CkptText
import Foundation
import Testing

@Suite("JSON")
struct JSONTests {
  private static let sample = #"""
    {"b": [], "a": "é\u007f\n\"\\/\u2028😀\u0001", "c": {}, "d": {"z": 1, "y": [1.50, -2e3, 0]},
     "e": [null, true, false, {"x": [[]]}], "": -0.0, "big": 123456789012345678901234567890}
    """#

  @Test(arguments: [
    JSONWriter.Style.readable, .oneLine, .compact, .python, .report,
  ])
  func `What is written in any layout is read as the same value, also by Foundation`(
    style: JSONWriter.Style
  ) throws {
    let value = try JSONValue(parsing: Self.sample)
    let text = value.text(style)
    #expect(try JSONValue(parsing: text) == value)
    let found = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary
    let wanted = try JSONSerialization.jsonObject(with: Data(Self.sample.utf8)) as? NSDictionary
    #expect(found == wanted)
  }

  @Test func `Reports look as Foundation's encoder writes them`() throws {
    struct Report: Encodable {
      let name = "a\u{1}\t\"\\/é\u{8}"
      let none: [Int] = []
      let nothing: [String: Int] = [:]
      let all = [1, 2]
      let parts = [["x": 0.1], ["y": 1e-30], ["z": 3.0]]
      let flag = true
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let plain = String(decoding: try encoder.encode(Report()), as: UTF8.self)
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let pretty = String(decoding: try encoder.encode(Report()), as: UTF8.self)
    #expect(try JSONValue(parsing: plain).text(.report) == pretty)
    #expect(try JSONValue(parsing: plain).text(.compact) == plain)
  }

  @Test func `Indices look as json.dumps writes them with an indent`() throws {
    let value = JSONValue.object([
      .init("b", .array([])), .init("a", .string("é\u{7f}\n\"\\/\u{2028}😀\u{1}")),
      .init("c", .object([])),
      .init("d", .object([.init("z", .number("1")), .init("y", .string("x"))])),
    ])
    #expect(
      value.text(.python) == #"""
        {
          "b": [],
          "a": "\u00e9\u007f\n\"\\/\u2028\ud83d\ude00\u0001",
          "c": {},
          "d": {
            "z": 1,
            "y": "x"
          }
        }
        """#)
  }

  @Test func `For people numbers alone stand on one line, and infinities can be text`() throws {
    let value = try JSONValue(
      parsing: "{\"a\": [1, 2], \"b\": [1, \"x\"], \"c\": [NaN, -Infinity]}")
    var style = JSONWriter.Style.readable
    #expect(
      value.text(style) == """
        {
          "a": [1, 2],
          "b": [
            1,
            "x"
          ],
          "c": [NaN, -Infinity]
        }
        """)
    style.nonFiniteAsText = true
    #expect(value.text(style).hasSuffix("\"c\": [\"nan\", \"-inf\"]\n}"))
    #expect(value.text(.oneLine) == #"{"a": [1, 2], "b": [1, "x"], "c": [NaN, -Infinity]}"#)
  }

  @Test func `A long text is written a part at a time as it is at once`() throws {
    let value = try JSONValue(parsing: Self.sample)
    var whole = JSONWriter(.report)
    whole.value(.array([value, value]))
    var parts = JSONWriter(.report)
    var bytes: [UInt8] = []
    parts.beginArray()
    bytes += parts.takeBytes()
    for _ in 0..<2 {
      parts.value(value)
      bytes += parts.takeBytes()
    }
    parts.end()
    #expect(bytes + parts.bytes == whole.bytes)
  }

  @Test(
    "Text that is no JSON is refused with its place",
    arguments: [
      ("", 0), ("block", 0), ("01", 0), ("1 2", 2), ("[1,]", 3), ("{\"a\":1,\"a\":2}", 10),
      ("\"a", 2), ("\"\\x\"", 3), ("\"\\ud800\"", 7), ("1.", 2), ("{1: 2}", 1), ("[", 1),
      ("+1", 0), ("\u{7f}", 0), ("\"\n\"", 2), ("\"é\" 1", 4), ("[1 2]", 3), ("{\"a\" 1}", 5),
      ("-", 0), ("1e", 2), ("\"\\udc00\"", 7), ("\"\\ud800\\n\"", 8), ("\"\\u12g4\"", 5),
      ("nul", 3), ("{\"a\":1", 6),
    ])
  func badJSON(text: String, offset: Int) throws {
    let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    #expect(error?.offset == offset, "\(error?.description ?? "")")
  }

  @Test func `Nesting is bounded, for values that are read as for those that are skipped`() throws {
    func brackets(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(try JSONValue(parsing: brackets(200)) != .null)
    #expect(throws: JSONError.self) { try JSONValue(parsing: brackets(1000)) }
    #expect(throws: JSONError.self) {
      try JSONValue(parsing: String(repeating: "[", count: 100_000))
    }
    #expect(throws: JSONError.self) {
      try JSONValue(parsing: String(repeating: "{\"a\":", count: 100_000))
    }
    var reader = JSONReader(.bytes(Array(brackets(127).utf8)))
    try reader.skipValue()
    try reader.finish()
    reader = JSONReader(.bytes(Array(brackets(129).utf8)))
    #expect(throws: JSONReader.Failure.self) { try reader.skipValue() }
  }

  @Test(arguments: [0, 1, 2, 3]) func `Strings and numbers go on from one block to the next`(
    shift: Int
  )
    throws
  {
    // A reader's block has 64 KB: what follows the padding lies across its end.
    let padding = String(repeating: " ", count: (64 << 10) - 6 - shift)
    let text = padding + #"["é😀\u00e9\ud83d\ude00", -12.5e+3, true]"#
    #expect(
      try JSONValue(parsing: text)
        == .array([.string("é😀é😀"), .number("-12.5e+3"), .bool(true)]))
  }

  @Test func `Objects of a known shape are read in place, and failures tell the byte in the file`()
    throws
  {
    let text = #"{"skip": {"x": [1, "]"]}, "n": 12, "none": null, "list": ["a", "b"]} "#
    var reader = JSONReader(.bytes(Array(text.utf8)), at: 100)
    var found: [String] = []
    try reader.object { reader, key in
      switch key {
      case "n": found.append("\(try reader.unsignedInt())")
      case "none": found.append("\(try reader.null())")
      case "list": try reader.array { found.append(try $0.string(limit: 1)) }
      default: try reader.skipValue()
      }
    }
    try reader.finish()
    #expect(found == ["12", "true", "a", "b"])
    for (text, offset) in [("-1", 100), ("01", 100), ("1.5", 100), ("99999999999999999999", 100)] {
      var reader = JSONReader(.bytes(Array(text.utf8)), at: 100)
      let failure = #expect(throws: JSONReader.Failure.self) { try reader.unsignedInt() }
      #expect(failure?.offset == offset, "\(text)")
    }
    reader = JSONReader(.bytes(Array("\"abc\"".utf8)), at: 100)
    #expect(throws: JSONReader.Failure.self) { try reader.string(limit: 2) }
    reader = JSONReader(.bytes([0x22, 0xFF, 0x22]))
    #expect(throws: JSONReader.Failure.self) { try reader.string(limit: 9) }
  }
}
