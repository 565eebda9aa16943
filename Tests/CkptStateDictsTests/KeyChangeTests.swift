import CkptPatterns
import CkptPlatform
import CkptStateDicts
import CkptTensors
import Testing

@Suite("What rules would call the keys")
struct KeyChangeTests {
  private func changes(_ keys: String..., rules: KeyRename...) throws -> [[String]] {
    var stateDict = StateDict()
    for key in keys { stateDict[key] = try .init([0] as [Float], shape: [1]) }
    return try stateDict.renamed(rules).map { [$0.old, $0.new] }
  }

  @Test func `Keys that change are told in order, with the names that all rules give them`() throws
  {
    let found = try changes(
      "module.b", "a", "module.a",
      rules: .stripPrefix("module."), .replace("b", with: "weight"))
    #expect(found == [["module.b", "weight"], ["module.a", "a"]])
  }

  @Test func `A key that keeps its bytes is not told`() throws {
    #expect(try changes("a", rules: .replace("a", with: "a"), .stripPrefix("b")).isEmpty)
  }

  @Test func `A key whose accents are spelled otherwise has changed`() throws {
    let found = try changes("caf\u{E9}", rules: .map(["caf\u{E9}": "cafe\u{301}"]))
    #expect(
      found.map { $0.map { Array($0.utf8) } } == [
        [Array("caf\u{E9}".utf8), Array("cafe\u{301}".utf8)]
      ])
  }

  @Test func `An expression that makes no sense is told with its position`() throws {
    let error = #expect(throws: PatternError.self) {
      try changes("a", rules: .regex("(a", template: "b"))
    }
    #expect(error?.kind == .usage)
    #expect(error?.description == "a \"(\" has no \")\" (pattern \"(a\")")
  }
}
