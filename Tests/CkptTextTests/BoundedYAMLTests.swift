import CkptPlatform
import CkptTestSupport
import CkptText
import Foundation
import Testing
import Yams

@Suite("YAML within bounds")
struct BoundedYAMLTests {
  private func failure(_ text: String, _ size: BoundedYAML.Size = .book) -> BoundedYAML.Failure? {
    do {
      _ = try BoundedYAML.root(of: text, size)
      return nil
    } catch {
      return error
    }
  }

  @Test func `What is within bounds is what the parser gives`() throws {
    let text = """
      shared: &s {weight: 3}   # a comment with [ and * and &
      models:
        - {model: "a: [b]", <<: *s}
        - regex: ^a\\[0\\]\\..*=>b.*
      """
    #expect(try BoundedYAML.root(of: text, .document) == Yams.compose(yaml: text))
    #expect(try BoundedYAML.root(of: "", .document) == nil)
    #expect(try BoundedYAML.root(of: "{\"a\": [\"b\"]}", .map)?.mapping?["a"]?.sequence?.count == 1)
  }

  @Test(arguments: [BoundedYAML.Size.document, .book])
  func `A text has at most as many bytes as its kind may have`(size: BoundedYAML.Size) throws {
    let folder = try TemporaryFolder()
    let fits = "a: 1\n#" + String(repeating: "x", count: size.rawValue - 6)
    #expect(failure(fits, size) == nil)
    #expect(failure(fits + "x", size)?.problem == "has more than \(size.text)")
    let file = try File(readingFrom: folder.write(Array((fits + "x").utf8), to: "a.yml"))
    #expect(throws: BoundedYAML.Failure.self) { try BoundedYAML.text(of: file, size) }
    let broken = try File(readingFrom: folder.write([0x61, 0xFF], to: "b.yml"))
    #expect(throws: BoundedYAML.Failure.self) { try BoundedYAML.text(of: broken, size) }
    let good = try File(readingFrom: folder.write(Array("a: é".utf8), to: "c.yml"))
    #expect(try BoundedYAML.text(of: good, size) == "a: é")
  }

  @Test func `Nesting ends at 128 levels, in brackets and in lines`() {
    func brackets(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + "x" + String(repeating: "]", count: depth)
    }
    func lines(_ depth: Int) -> String {
      (0..<depth).map { String(repeating: " ", count: $0) + "a:\n" }.joined()
    }
    #expect(failure(brackets(128)) == nil)
    #expect(failure(brackets(129))?.problem.contains("deeper than 128") == true)
    #expect(failure(lines(128)) == nil)
    #expect(failure(lines(130))?.problem.contains("deeper than 128") == true)
    #expect(failure(String(repeating: "- ", count: 130) + "x")?.problem.contains("deeper") == true)
  }

  /// A thread of the size that Dispatch gives its threads on a Mac, which the parser's recursion must fit.
  @Test func `What nests without end fails before the stack does`() async {
    let texts = [
      String(repeating: "[", count: 200_000), String(repeating: "{a: ", count: 100_000),
      String(repeating: "- ", count: 100_000),
      (0..<1500).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
      String(repeating: "[\"]\", ", count: 100_000),
    ]
    for text in texts {
      let found = await withCheckedContinuation { continuation in
        let thread = Thread { continuation.resume(returning: self.failure(text)?.problem) }
        thread.stackSize = 512 << 10
        thread.start()
      }
      #expect(found != nil, "\(text.prefix(9))")
    }
  }

  @Test func `Anchors and aliases are counted before anything is parsed`() {
    func chain(_ count: Int) -> String {
      "a0: &a0 [x]\n" + (1..<count).map { "a\($0): &a\($0) *a0\n" }.joined()
    }
    #expect(failure("a: &a x\n" + String(repeating: "- *a\n", count: 1000))?.line == 1001)
    #expect(failure((0..<1001).map { "k\($0): &k\($0) x\n" }.joined())?.line == 1001)
    #expect(failure("list:\n" + String(repeating: "  - a*b&c .*\n", count: 2000)) == nil)
  }

  @Test func `Aliases of aliases are followed up to a million values`() {
    let small = (1..<10).map { "b\($0): &b\($0) [*b\($0 - 1), *b\($0 - 1)]\n" }.joined()
    #expect(failure("b0: &b0 x\n" + small) == nil)
    let large = (1..<40).map { "b\($0): &b\($0) [*b\($0 - 1), *b\($0 - 1)]\n" }.joined()
    #expect(failure("b0: &b0 x\n" + large)?.problem.contains("when aliases are followed") == true)
    let deep = (1..<300).map { "b\($0): &b\($0) [*b\($0 - 1)]\n" }.joined()
    #expect(failure("b0: &b0 x\n" + deep)?.problem.contains("deeper than 128") == true)
  }

  /// To compare keys the parser hashes them, aliases followed: 2^40 of them here.
  @Test(arguments: [
    "? *b39\n: 1", "*b39 : 1", "{*b39 : 1}", "{[*b39, *b39]: 1}", "{? *b39\n: 1}",
    "? [*b39]\n: 1", "{[*b39] # ]\n  : 1}",
  ])
  func `Keys that are aliases or hold some are refused before they are followed`(key: String) {
    let chain = (1..<40).map { "- &b\($0) [*b\($0 - 1), *b\($0 - 1)]\n" }.joined()
    let found = failure("- &b0 x\n" + chain + "- " + key.replacing("\n", with: "\n  ") + "\n")
    #expect(found?.problem == "has anchors, and a key that is no text")
  }

  @Test func `What is no YAML is refused with its line`() {
    #expect(failure("a: 1\nb: [1\n")?.line == 3)
    #expect(failure("a: 1\na: 2\n")?.problem == "a key stands here twice: a")
    #expect(failure("a: *b\n") != nil)
  }
}
