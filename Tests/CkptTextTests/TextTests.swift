import CkptText
import Foundation
import Testing

@Suite("Texts")
struct TextTests {
  @Test func `Texts are the same byte for byte or not at all`() {
    let (one, two) = ("caf\u{e9}", "cafe\u{301}")
    #expect(one == two)
    #expect(!one.isExactly(two))
    #expect(one.isExactly(one[...]))
    #expect(!"a".isExactly("ab"))
    #expect(Set([ExactText(one), ExactText(two), ExactText(one)]).count == 2)
  }

  @Test func `What people are shown stands on one line, without control characters`() {
    #expect(Text.printable("a\nb\tc\rd\u{1b}[2J\u{9b}é") == "a\\nb\\tc\\rd\\x1b[2J\\x9bé")
    #expect(Text.printable(String(repeating: "x", count: 401)).count == 401)
    #expect(Text.quoted("a") == "\"a\"")
  }

  @Test func `What is not printable is escaped, and all other text is unchanged`() {
    for value in UInt32(0)...0x10FFFF {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let text = String(scalar)
      let escaped = Text.escaped(text)
      let isHarmful =
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        case .format: value != 0x200C && value != 0x200D
        default: false
        }
      guard isHarmful ? escaped.utf8.allSatisfy({ (33..<127).contains($0) }) : escaped == text
      else {
        Issue.record("\(value) is \(escaped)")
        continue
      }
    }
    #expect(
      Text.escaped("a\u{202E}b\u{E0041}\u{1}\u{2028}\\") == #"a\u{202e}b\u{e0041}\x01\u{2028}\"#)
  }

  @Test func `A time stands in the units that people say`() {
    #expect([0, 4.24, 59.94].map(Text.duration) == ["0.0 s", "4.2 s", "59.9 s"])
    #expect(
      [59.96, 200, 3599.4].map(Text.duration) == ["1 min 00 s", "3 min 20 s", "59 min 59 s"])
    #expect(
      [3599.6, 7500, 360_000].map(Text.duration) == ["1 h 00 min", "2 h 05 min", "100 h 00 min"])
    #expect([-1, .nan, .infinity].map(Text.duration) == ["–", "–", "–"])
  }

  @Test func `A share stands in percent with one decimal place`() {
    #expect(HTMLText.percent(0.9137) == "91.4\u{202F}%" && HTMLText.percent(.nan) == "–")
  }

  @Test func `A shell takes a line apart into the words that were quoted`() throws {
    let words = [
      "plain-_./=:,+@%", "", "two words", "it's", "'", "$HOME `id` \"q\" \\", "é", "a\nb", "*",
    ]
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", "printf '%s\\0' " + Shell.line(words)]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    let found = data.split(separator: 0, omittingEmptySubsequences: false).dropLast()
    #expect(found.map { String(decoding: $0, as: UTF8.self) } == words)
    #expect(Shell.quoted("model.pt") == "model.pt")
  }
}
