import CkptPatterns
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

/// A state dict with a tensor of one element for each key.
func stateDict(_ keys: String...) throws -> StateDict {
  var result = StateDict()
  for (number, key) in keys.enumerated() {
    result[key] = try Tensor([Float(number)], shape: [1])
  }
  return result
}

func metadata(_ modules: String...) -> [StateDict.ModuleMetadata] {
  modules.map { .init(module: $0, value: OpaqueObject(summary: "of \($0)")) }
}

@Suite("State dicts are renamed")
struct RenamingTests {
  @Test(
    "Each rule does what its name says",
    arguments: [
      (KeyRename.stripPrefix("module."), "module.a.module.b", "a.module.b"),
      (.stripPrefix("module."), "a", "a"), (.addPrefix("model."), "a", "model.a"),
      (.replacePrefix("a.", with: "b."), "a.a.", "b.a."),
      (.replacePrefix("a", with: ""), "ba", "ba"),
      (.replace("a", with: "bb"), "aXa", "bbXbb"), (.replace("aa", with: "a"), "aaaa", "aa"),
      (.regex(#"layer(\d)"#, template: "block$1"), "layer1.layer2", "block1.block2"),
      (.regex(#"(?<n>\d+)"#, template: "${n}$$"), "a12", "a12$"),
      (.map(["old": "new"]), "old", "new"), (.map(["old": "new"]), "older", "older"),
    ])
  func rules(rule: KeyRename, old: String, new: String) throws {
    #expect(try stateDict(old).renamingKeys(rule).keys == [new])
  }

  @Test("Rules apply one after the other, and order and values stay")
  func chain() throws {
    let renamed = try stateDict("module.a", "module.b").renamingKeys(
      .stripPrefix("module."), .addPrefix("x."), .replace("x.a", with: "y"))
    #expect(renamed.keys == ["y", "x.b"])
    #expect(try renamed["x.b"]?.floats() == [1])
  }

  @Test("All keys that would become one are told, and nothing is lost")
  func collisions() throws {
    let error = #expect(throws: StateDictError.self) {
      try stateDict("a.x", "b.x", "a.y", "b.y", "z").renamingKeys(
        .stripPrefix("a."), .stripPrefix("b."))
    }
    guard case .keysCollide(let all)? = error else {
      Issue.record("another error")
      return
    }
    #expect(all.map(\.new) == ["x", "y"])
    #expect(all.map(\.old) == [["a.x", "b.x"], ["a.y", "b.y"]])
  }

  @Test("A rule that leaves nothing of a key is refused")
  func vanishes() throws {
    #expect(throws: StateDictError.keysVanish(["module."])) {
      try stateDict("module.").renamingKeys(.stripPrefix("module."))
    }
  }

  @Test("OLD=NEW is split at the first sign that is not escaped")
  func pairs() throws {
    #expect(try KeyRename.pair("a=b=c") == ("a", "b=c"))
    #expect(try KeyRename.pair(#"a\=b=c"#) == ("a=b", "c"))
    #expect(try KeyRename.pair("a=") == ("a", ""))
    #expect(
      message(of: PatternError.self) { try KeyRename.pair("ab") }
        == "there is no \"=\": write OLD=NEW (rename \"ab\")")
    for empty: KeyRename in [
      .replace("", with: "b"), .replacePrefix("", with: "b"), .stripPrefix(""),
    ] {
      #expect(throws: PatternError.self) { try stateDict("a").renamingKeys(empty) }
    }
  }

  @Test("A template that names no group, or no expression, is refused")
  func badRules() {
    #expect(
      message(of: PatternError.self) { try KeyRename.regexRule("a") }
        == "there is no \"=>\": write RE=>TEMPLATE (rename \"a\")")
    #expect(throws: (any Error).self) {
      try stateDict("a").renamingKeys(.regex("a", template: "$7"))
    }
    #expect(throws: (any Error).self) {
      try stateDict("a").renamingKeys(.regex("a", template: "${name}"))
    }
    #expect(throws: (any Error).self) { try stateDict("a").renamingKeys(.regex("(", template: "")) }
  }

  @Test("Metadata goes with the modules")
  func metadataFollows() throws {
    var sample = try stateDict("module.conv.weight", "module.fc.weight")
    sample.metadata = metadata("", "module", "module.conv", "module.fc", "module.relu")
    let stripped = try sample.renamingKeys(.stripPrefix("module."))
    #expect(stripped.metadata?.map(\.module) == ["", "conv", "fc", "relu"])
    // The inner module's entry is the root's now.
    #expect(stripped.metadata?.first?.value.summary == "of module")
    let added = try sample.renamingKeys(.addPrefix("model."))
    #expect(added.metadata?.map(\.module).contains("model.module.conv") == true)
    let replaced = try sample.renamingKeys(.replace("module.conv.", with: "stem."))
    #expect(replaced.metadata?.map(\.module).contains("stem") == true)
  }

  @Test("Filtering a module out drops its metadata, and that of what lies in it")
  func metadataFiltered() throws {
    var sample = try stateDict("conv.weight", "fc.weight")
    sample.metadata = metadata("", "conv", "relu", "fc", "fc.dropout")
    #expect(try sample.filter(exclude: "fc").metadata?.map(\.module) == ["", "conv", "relu"])
  }
}

@Suite("State dicts are updated")
struct UpdateTests {
  @Test("Values take the place of those with their keys; the order stays")
  func replaces() throws {
    var base = try stateDict("a", "b", "c")
    let report = try base.update(with: stateDict("c", "b"))
    #expect(report.replaced == ["c", "b"])
    #expect(base.keys == ["a", "b", "c"])
    #expect(try base["c"]?.floats() == [0])
  }

  @Test("Everything that stands in the way is told at once, and nothing is changed")
  func refuses() throws {
    var base = try stateDict("a", "b")
    var other = try stateDict("b", "new")
    other["a"] = try Tensor([1, 2] as [Float], shape: [2])
    let error = #expect(throws: StateDictError.self) { try base.update(with: other) }
    guard case .cannotUpdate(let missing, let mismatched)? = error else {
      Issue.record("another error")
      return
    }
    #expect(missing == ["new"])
    #expect(mismatched.map(\.description) == ["a ([2] for [1])"])
    #expect(try base["b"]?.floats() == [1])
  }

  @Test("New keys come last, with their modules' metadata; other shapes are skipped when asked")
  func options() throws {
    var base = try stateDict("a.w", "b.w")
    base.metadata = metadata("", "a", "b")
    var other = try stateDict("head.w", "b.w")
    other.metadata = metadata("", "head", "b", "unused")
    other["a.w"] = try Tensor([1, 2] as [Float], shape: [2])
    let report = try base.update(with: other, allowNew: true, skipMismatched: true)
    #expect(report.added == ["head.w"] && report.replaced == ["b.w"])
    #expect(report.skipped.map(\.key) == ["a.w"])
    #expect(base.keys == ["a.w", "b.w", "head.w"])
    #expect(base.metadata?.map(\.module) == ["", "a", "b", "head"])
  }

  @Test("Tied tensors are known, and told when an update unties them")
  func ties() throws {
    var base = try stateDict("embed", "other")
    base["head"] = base["embed"]
    #expect(base.ties == [["embed", "head"]])
    #expect(base.totalByteCount == 8)
    #expect(base.totalElementCount == 3)
    let report = try base.update(with: stateDict("embed"))
    #expect(report.brokenTies == [["embed", "head"]])
  }

  @Test("Keys that only look the same are two, as in Python")
  func unicode() throws {
    let sample = try stateDict("caf\u{E9}", "cafe\u{301}")
    #expect(sample.count == 2)
    #expect(try sample["cafe\u{301}"]?.floats() == [1])
  }

  @Test("A state dict is a value")
  func value() throws {
    let original = try stateDict("a")
    var copy = original
    copy["a"] = nil
    #expect(original.count == 1 && copy.isEmpty)
  }
}
