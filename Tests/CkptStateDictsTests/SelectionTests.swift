import CkptPatterns
import CkptPlatform
import CkptStateDicts
import CkptTensors
import Testing

@Suite("Which keys are meant")
struct SelectionTests {
  private func matches(_ pattern: String, _ key: String) throws -> Bool {
    let stateDict: StateDict = StateDict([key: try Tensor([1] as [Float], shape: [1])])
    return try !stateDict.filter(include: pattern).isEmpty
  }

  @Test(
    "Patterns match as the command line's contract says",
    arguments: [
      ("fc", "layer.fc.weight", true), ("in:fc", "fcx", true), ("fc", "f.c", false),
      ("", "anything", true), ("is:fc", "fc", true), ("is:fc", "fc.weight", false),
      ("under:layer1", "layer1.weight", true), ("under:layer1", "layer1", true),
      ("under:layer1", "layer10.weight", false), ("under:layer1", "a.layer1.weight", false),
      ("glob:layer1.*", "layer1.weight", true), ("glob:layer1.*", "layer1.0.weight", false),
      ("glob:layer1.**", "layer1.0.weight", true), ("glob:*.weight", "a.weight", true),
      ("glob:**.weight", "a.b.weight", true), ("glob:layer?.w", "layer1.w", true),
      ("glob:layer?.w", "layer..w", false), ("glob:layer[1-3].w", "layer2.w", true),
      ("glob:layer[!1-3].w", "layer2.w", false), ("glob:{a,b.c}.w", "b.c.w", true),
      ("glob:{a,b{c,d}}.w", "bd.w", true), ("glob:{a,b}.w", "c.w", false),
      (#"glob:a\*"#, "a*", true), (#"glob:a\*"#, "ab", false), ("glob:", "", true),
      (#"re:^layer\d+\.0\."#, "layer12.0.weight", true), (#"re:^layer\d$"#, "layer12", false),
      ("unknown:x", "unknown:x", true), ("re:é", "café", true), ("is:é", "e\u{301}", false),
    ])
  func patterns(pattern: String, key: String, expected: Bool) throws {
    #expect(try matches(pattern, key) == expected)
  }

  @Test(
    "A pattern that makes no sense is a fault of the call",
    arguments: [
      "glob:[a", "glob:{a", "glob:[z-a]", "re:(", "re:*",
      "glob:" + String(repeating: "{a,b}", count: 30),
    ])
  func bad(pattern: String) {
    let error = #expect(throws: PatternError.self) { try KeyPattern(pattern) }
    #expect(error?.kind == .usage)
  }

  @Test("A glob of many stars takes no long time")
  func manyStars() throws {
    let pattern = "glob:" + String(repeating: "**a", count: 40) + "b"
    #expect(try !matches(pattern, String(repeating: "a", count: 2000)))
  }

  private func sample() throws -> StateDict {
    var stateDict = StateDict()
    stateDict["a.weight"] = try Tensor([Float](repeating: 0, count: 6), shape: [2, 3])
    stateDict["a.bias"] = try Tensor([Float](repeating: 0, count: 2), shape: [2])
    stateDict["count"] = try Tensor([1] as [Int64], shape: [])
    return stateDict
  }

  @Test("Types, sizes and shapes select too, and exclusion wins")
  func tensors() throws {
    let sample = try sample()
    var selection = KeySelection()
    selection.dtypes = [.int64]
    #expect(sample.filter(selection).keys == ["count"])
    selection = KeySelection()
    selection.minElements = 2
    selection.maxElements = 2
    #expect(sample.filter(selection).keys == ["a.bias"])
    selection = KeySelection()
    selection.shape = [nil, 3]
    #expect(sample.filter(selection).keys == ["a.weight"])
    #expect(try sample.filter(include: "a.", exclude: "bias").keys == ["a.weight"])
    #expect(sample.filter { key, _ in key.hasPrefix("c") }.keys == ["count"])
  }

  @Test("A pattern that matches nothing is told, with what comes near it")
  func nearest() throws {
    let selection = KeySelection(include: [
      try KeyPattern("under:a"), try KeyPattern("a.wieght"), try KeyPattern("is:cuont"),
      try KeyPattern("qqqqqqqqqq"),
    ])
    let unmatched = try selection.unmatched(in: sample().keys)
    #expect(unmatched.map(\.pattern.text) == ["a.wieght", "cuont", "qqqqqqqqqq"])
    #expect(unmatched.map(\.nearest.first) == ["a.weight", "count", nil])
  }
}
