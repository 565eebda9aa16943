import Foundation
import CkptBytes
import Testing

@Suite("Numbers that become integers")
struct CheckedIntegersTests {
  @Test(
    "Whatever a float holds, the nearest whole number towards 0 comes out, and nothing traps",
    arguments: [
      (0.0, 0), (-0.0, 0), (1.5, 1), (-1.5, -1), (.nan, 0), (.signalingNaN, 0),
      (.infinity, .max), (-.infinity, .min), (0x1p63, .max), (-0x1p63, .min), (-0x1p64, .min),
      (0x1p62, 1 << 62), (.greatestFiniteMagnitude, .max), (.leastNonzeroMagnitude, 0),
    ] as [(Double, Int)])
  func saturating(value: Double, expected: Int) {
    #expect(Int(saturating: value) == expected)
    #expect(Int(saturating: Float(value)) == expected)
    #expect(UInt8(saturating: value) == UInt8(clamping: expected))
  }

  /// The compiler warns of a conversion that traps where Platform is imported; so files in which numbers of
  /// both kinds are at hand import it.
  @Test("Files that convert numbers import the module that warns of conversions that trap")
  func imports() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Sources")
    let rooms = [
      "CkptIO", "CkptGGUF", "CkptInspection", "CkptMerging", "CkptNumpy", "CkptSafetensors",
      "CkptStateDicts", "CkptTensors",
    ]
    // It converts what is bounded a line before, in a loop over every element.
    let allowed: Set = ["Histogram.swift"]
    let conversion = try Regex(#"\b(Int|Int64|UInt64)\((?![a-zA-Z]+:)"#)
    let float = try Regex(#"\b(Double|Float|rounded|squareRoot)\b"#)
    var missing: [String] = []
    var count = 0
    for room in rooms {
      let folder = root.appending(path: room)
      let names = FileManager.default.enumerator(atPath: folder.path(percentEncoded: false))
      for case let name as String in try #require(names) where name.hasSuffix(".swift") {
        let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
        count += 1
        guard text.contains(conversion), text.contains(float) else { continue }
        if !text.contains("import CkptBytes"),
          !allowed.contains((name as NSString).lastPathComponent)
        {
          missing.append("\(room)/\(name)")
        }
      }
    }
    #expect(count > 100)
    #expect(missing.isEmpty, "\(missing)")
  }
}
