import CkptIO
import Foundation
import CkptStateDicts
import CkptTestSupport
import Testing

/// What PyTorch's `load_state_dict(strict=False)` did with a pair of `fixtures/loading/`.
private struct Told: Decodable {
  let missing, unexpected, errors, changed: [String]

  static let all: [String: Told] = {
    let text =
      (try? Data(contentsOf: URL(filePath: Fixtures.path("loading/loading.json")))) ?? Data()
    var all: [String: Told] = [:]
    for (name, value) in (try? JSONSerialization.jsonObject(with: text) as? [String: Any]) ?? [:] {
      guard
        let data = try? JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed)
      else { continue }
      all[name] = try? JSONDecoder().decode(Told.self, from: data)
    }
    return all
  }()
}

@Suite("What load_state_dict would say")
struct LoadingTests {
  private func read(_ name: String) throws -> StateDict {
    try Checkpoint(contentsOf: Fixtures.path("loading/\(name).pt")).stateDict(at: "/")
  }

  @Test("PyTorch says the same of every pair", arguments: Told.all.keys.sorted())
  func pairs(name: String) throws {
    let told = try #require(Told.all[name])
    let reference = try read(name + ".model")
    let report = try read(name).validate(against: reference, strict: true, comparesTies: true)
    #expect(report.missing == told.missing)
    #expect(report.unexpected == told.unexpected)
    let refused =
      report.mismatched.map(\.key) + report.classMismatched.map(\.key)
      + report.typeMismatched.filter(\.isRefused).map(\.key)
    #expect(refused.count == told.errors.count)
    for key in refused { #expect(told.errors.contains { $0.contains(key) }) }
    #expect(
      report.isLoadable == (told.missing + told.unexpected + told.errors).isEmpty)
    #expect(
      try read(name).validate(against: reference, strict: false).isLoadable == told.errors.isEmpty)
    // Of a tied pair one key is loaded and both change; a counter that stays 0 does not change.
    let changed = told.changed.filter { !report.missingButTied.contains($0) }
    #expect(
      report.loaded.filter { !$0.hasSuffix("num_batches_tracked") && !$0.hasSuffix("_extra_state") }
        == changed)
  }

  @Test("All pairs are there")
  func count() { #expect(Told.all.count > 20) }

  @Test("What is cast, filled in and no longer tied is told")
  func details() throws {
    let half = try read("half").validate(against: read("half.model"))
    #expect(half.isLoadable && half.typeMismatched.count == 8)
    let old = try read("old_norm").validate(against: read("old_norm.model"))
    #expect(old.defaulted == ["bn.num_batches_tracked"])
    let tie = try read("tie_broken").validate(against: read("tie_broken.model"), comparesTies: true)
    #expect(tie.brokenTies.map(\.keys) == [["embed.weight", "head.weight"]])
    #expect(tie.brokenTies.map(\.valuesDiffer) == [true])
    let whole = try read("tied").validate(against: read("tied.model"))
    #expect(whole.brokenTies.isEmpty && whole.expectedElements == 10 && whole.loadedShare == 1)
    let missing = try read("missing").validate(against: read("missing.model"), strict: false)
    #expect(missing.expectedElements == 144 && missing.loadedElements == 129)
  }

  @Test(
    "What is suggested makes it load",
    arguments: ["prefix", "moco", "gamma", "parts"])
  func suggestions(name: String) throws {
    let (found, reference) = (try read(name), try read(name + ".model"))
    let suggestion = try #require(try found.suggestedRenames(toFit: reference))
    #expect(suggestion.report.isLoadable)
    #expect(try found.applying(suggestion.steps).result.validate(against: reference).isLoadable)
  }
}
