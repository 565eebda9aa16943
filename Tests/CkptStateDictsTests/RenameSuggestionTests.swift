import CkptPatterns
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Renames that make a state dict fit are found")
struct RenameSuggestionTests {
  /// A small network's keys, each tensor with a shape that its key decides.
  private func net(_ rename: (String) -> String = { $0 }, layers: Int = 3) throws -> StateDict {
    var result = StateDict()
    for layer in 0..<layers {
      for (name, count) in [
        ("conv.weight", 5), ("conv.bias", 2), ("norm.weight", 2), ("norm.bias", 2),
      ] {
        result[rename("layers.\(layer).\(name)")] = try Tensor(
          [Float](repeating: 1, count: count + layer), shape: [count + layer])
      }
    }
    result[rename("head.weight")] = try Tensor([Float](repeating: 1, count: 9), shape: [9])
    return result
  }

  private func suggestion(_ rename: (String) -> String) throws -> RenameSuggestion {
    let found = try net(rename)
    let suggestion = try #require(try found.suggestedRenames(toFit: net()))
    // What it says must hold: the steps, when done, give that report.
    let report = try found.applying(suggestion.steps).result.validate(against: net())
    #expect(report.loaded == suggestion.report.loaded)
    return suggestion
  }

  @Test("A prefix too much, too little, or another one")
  func prefixes() throws {
    #expect(try suggestion { "module." + $0 }.renames == [.stripPrefix("module.")])
    #expect(
      try suggestion { $0.hasPrefix("layers.") ? "net." + $0.dropFirst(7) : $0 }.renames
        == [.replacePrefix("net.", with: "layers.")])
    let added = try suggestion { String($0.dropFirst($0.hasPrefix("layers.") ? 7 : 0)) }
    #expect(added.report.isLoadable)
  }

  @Test("A part that is called otherwise, wherever it stands, and a part too much")
  func parts() throws {
    let norm = try suggestion { $0.replacing(".norm.", with: ".bn.") }
    #expect(norm.renames == [.replace(".bn.", with: ".norm.")])
    let old = try suggestion {
      $0.replacing("norm.weight", with: "norm.gamma").replacing("norm.bias", with: "norm.beta")
    }
    #expect(old.report.isLoadable && old.renames.count == 2)
    let compiled = try suggestion { $0.replacing("conv.", with: "_orig_mod.conv.") }
    #expect(compiled.renames == [.replace("_orig_mod.", with: "")])
  }

  @Test("Several rules, one after the other")
  func chain() throws {
    let chain = try suggestion { "module.encoder." + $0.replacing(".norm.", with: ".bn.") }
    #expect(chain.report.isLoadable && chain.renames.count == 2)
  }

  @Test("Of two copies that lie side by side, one is kept")
  func copies() throws {
    var both = StateDict()
    for prefix in ["module.encoder_q.", "module.encoder_k."] {
      for (key, value) in try net().elements { both.setValue(value, for: prefix + key) }
    }
    both["module.queue"] = try Tensor([1] as [Float], shape: [1])
    let found = try #require(try both.suggestedRenames(toFit: net()))
    #expect(found.report.isLoadable)
    #expect(
      found.selection.include.map(\.written) == ["under:module.encoder_q"]
        && found.renames == [.stripPrefix("module.encoder_q.")])
  }

  @Test("Places that fit equally are all told, whatever they are called")
  func positions() throws {
    var random = SeededRandom(11)
    let names = ["student.", "teacher.", "model.", "ema.", "module.encoder_q.", "net.0.", "a.b.c."]
    for _ in 0..<60 {
      let prefixes = names.shuffled(using: &random).prefix(Int.random(in: 1...4, using: &random))
      // Which of the copies have the reference's shapes.
      let fits = prefixes.map { _ in Bool.random(using: &random) }
      var all = StateDict()
      for (prefix, fits) in zip(prefixes, fits) {
        for (key, value) in try net().elements {
          guard !fits, let shape = value.tensor?.shape else {
            all.setValue(value, for: prefix + key)
            continue
          }
          all[prefix + key] = try Tensor(
            [Float](repeating: 0, count: shape.reduce(2, *)), shape: [2] + shape)
        }
      }
      let wanted = zip(prefixes, fits).filter(\.1).map { String($0.0.dropLast()) }
      let found = try all.suggestedRenames(toFit: net())
      let told = found.map { [$0] + $0.alternatives } ?? []
      #expect(Set(told.map(\.position)) == Set(wanted))
      #expect(told.count == wanted.count)
      for suggestion in told {
        let result = try all.applying(suggestion.steps).result
        #expect(try result.validate(against: net()).isLoadable)
      }
    }
  }

  @Test("A head too much is left out; one of another width stays what it is")
  func heads() throws {
    var found = try net { "module." + $0 }
    found["module.head.extra"] = try Tensor([1] as [Float], shape: [1])
    let extra = try #require(try found.suggestedRenames(toFit: net()))
    #expect(extra.report.isLoadable)
    found = try net { "module." + $0 }
    found["module.head.weight"] = try Tensor([1, 2] as [Float], shape: [2])
    let wide = try #require(try found.suggestedRenames(toFit: net()))
    #expect(!wide.report.isLoadable && wide.report.missing == ["head.weight"])
    #expect(wide.report.loaded.count == 12)
  }

  @Test("Strangers get no advice, nor does what loads already")
  func none() throws {
    #expect(try stateDict("a", "b").suggestedRenames(toFit: net()) == nil)
    #expect(try net().suggestedRenames(toFit: net()) == nil)
    #expect(try StateDict().suggestedRenames(toFit: net()) == nil)
  }
}
