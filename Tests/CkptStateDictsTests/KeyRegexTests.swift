import CkptPatterns
import CkptPlatform
import CkptStateDicts
import CkptTensors
import Testing

@Suite("Regular expressions over keys")
struct KeyRegexTests {
  private func renamed(_ key: String, _ rule: String) throws -> String {
    try stateDict(key).renamingKeys(KeyRename.regexRule(rule)).keys[0]
  }

  /// What Python's `re.sub` gives, with `\g<name>` for `${name}`; `make interop` compares many more.
  @Test(
    "They match what Python's re matches",
    arguments: [
      ("aab", "a+=>x", "xb"), ("aab", "a+?=>x", "xxb"), ("abab", "(ab)*=>[$0]", "[abab][]"),
      ("a1b22", #"(\d+)=><$1>"#, "a<1>b<22>"), ("a.b", #"\.=>_"#, "a_b"), ("a.b", ".=>_", "___"),
      ("layer1.0.w", #"^layer(?<n>\d)\.=>block${n}."#, "block1.0.w"),
      ("layer1.0.w", #"^layer(?P<n>\d)\.=>block${n}."#, "block1.0.w"),
      ("abc", "(a)|(b)=>[$1$2]", "[a][b]c"), ("aXbx", "(?i)x=>-", "a-b-"),
      ("a{2}", "a{2}=>x", "a{2}"), ("aaa", "a{2}=>x", "xa"), ("aaaa", "a{1,3}=>x", "xx"),
      ("aaaa", "a{2,}=>x", "x"), ("a{,}", #"\{,\}=>x"#, "ax"), ("a{x}", "{x}=>y", "ay"),
      ("foo_bar.baz", #"\b\w+\b=>x"#, "x.x"), ("word", #"\Bo\B=>0"#, "w0rd"),
      ("a-z", "[a\\-z]=>x", "xxx"), ("a]b", "[]]=>x", "axb"), ("a^b", "[^a^]=>x", "a^x"),
      ("a1_é", #"[^\W\d]=>x"#, "x1xx"), ("x", "$=>$$", "x$"), ("ab", "(?:a|ab)(?:c|bcd|b)=>x", "x"),
      ("é", "é=>e", "e"), ("ab", "=>-", "-a-b-"),
    ])
  func python(key: String, rule: String, expected: String) throws {
    #expect(try renamed(key, rule) == expected)
  }

  @Test(
    "Expressions that take other matchers for ever take no time here",
    arguments: [
      "(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)(.*)x", "(a|a|a|a)*c", "((a?)*)*d",
    ])
  func catastrophic(expression: String) throws {
    let key = String(repeating: "a", count: 2000) + "!"
    let start = ContinuousClock.now
    #expect(try stateDict(key).filter(include: "re:" + expression).isEmpty)
    // A matcher that goes back needs longer than the universe has been there.
    #expect(ContinuousClock.now - start < .seconds(20))
  }

  @Test(
    "What is wrong is told with its place",
    arguments: [
      ("re:(", 3), ("re:a[b", 4), ("re:*", 3), ("re:a**", 5), ("re:a)", 4), (#"re:a\"#, 4),
      (#"re:(a)\1"#, 6), ("re:(?=a)", 3), ("re:(?<n>a)(?<n>b)", 13), ("re:[z-a]", 4),
      ("re:a{3,2}", 4), ("re:a{9999}", 4), (#"re:\q"#, 3), ("re:(a{1000}){1000}", 3),
      ("glob:a[b", 6), ("glob:a{b", 6), ("glob:{a,b}{c", 10), ("glob:[z-a]", 6),
    ])
  func positions(pattern: String, position: Int) {
    let error = #expect(throws: PatternError.self) { try KeyPattern(pattern) }
    #expect(error?.kind == .usage)
    #expect(error?.excerpt == Excerpt(pattern, at: position))
  }

  @Test(
    "So is what is wrong with a rule",
    arguments: [
      ("a", 1), ("(=>b", 0), ("a=>$", 3), ("a=>x$7", 4), ("a=>${n}", 3), ("(?<n>a)=>${m}", 9),
    ])
  func rules(rule: String, position: Int) {
    let error = #expect(throws: PatternError.self) { try KeyRename.regexRule(rule) }
    #expect(error?.excerpt == Excerpt(rule, at: position))
    #expect(error?.kind == .usage)
  }

  @Test("Groups that nest without end are refused, not followed")
  func deep() {
    for count in [101, 100_000] {
      let pattern =
        "re:" + String(repeating: "(", count: count) + String(repeating: ")", count: count)
      let error = #expect(throws: PatternError.self) { try KeyPattern(pattern) }
      #expect(error?.kind == .usage)
    }
  }
}

@Suite("Steps over keys")
struct KeyStepTests {
  @Test("Steps work on the names that those before them gave, and each key is accounted for")
  func chain() throws {
    let sample = try stateDict("module.a.w", "module.b.w", "module.queue", "n")
    let (result, report) = try sample.applying([
      .exclude([KeyPattern("queue")]), .rename(.stripPrefix("module.")),
      .include([KeyPattern("under:a"), KeyPattern("is:n")]), .rename(.addPrefix("x.")),
    ])
    #expect(result.keys == ["x.a.w", "x.n"])
    #expect(report.changes.map(\.new) == ["x.a.w", nil, nil, "x.n"])
    #expect(report.dropped == ["module.b.w", "module.queue"] && report.renamed.count == 2)
    #expect(report.unmatched.isEmpty)
  }

  @Test("Rules that no key has anything to do with are told, with what comes near")
  func unmatched() throws {
    let sample = try stateDict("module.encoder.weight", "module.encoder.bias")
    let report = try sample.keyReport([
      .rename(.stripPrefix("modul.")), .rename(.replace("encodre", with: "x")),
      .rename(.map(["module.encoder.wieght": "a", "module.encoder.bias": "b"])),
      .exclude([try KeyPattern("under:module.decoder")]),
    ])
    #expect(
      report.unmatched.map(\.rule) == [
        .rename(.stripPrefix("modul.")), .rename(.replace("encodre", with: "x")),
        .mapEntry("module.encoder.wieght"), .exclude(try KeyPattern("under:module.decoder")),
      ])
    #expect(report.unmatched[0].nearest.first == "module.encoder.weight")
    #expect(report.unmatched[2].nearest.first == "module.encoder.weight")
  }

  @Test("All keys that would vanish or meet are told")
  func refused() throws {
    #expect(throws: StateDictError.keysVanish(["ab", "aab"])) {
      try stateDict("ab", "aab", "c").applying([.rename(.regex("a+b", template: ""))])
    }
    #expect(throws: StateDictError.keysCollide([.init(new: "c", old: ["a", "b"])])) {
      try stateDict("a", "b").applying([.rename(.regex("[ab]", template: "c"))])
    }
  }
}
