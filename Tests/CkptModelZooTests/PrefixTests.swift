import Foundation
import ModelZoo
import StateDictKit
import CkptTestSupport
import Testing
import TrainingCore

@Suite("Models inside others are found; see fixtures/prefixes.py")
struct PrefixTests {
  struct Account: Decodable {
    struct Found: Decodable {
      let prefix: String
      let missing: [String]
      let unexpected: [String]
    }
    let model: String
    let found: [Found]
  }

  static let names = [
    "data_parallel", "compiled", "averaged", "task", "segmentation", "two", "adapted", "gpt2",
    "vgg", "trunk",
  ]

  private func account(_ name: String) throws -> Account {
    let data = try Data(
      contentsOf: URL(filePath: Fixtures.path("prefixes/prefixes.json")))
    let all = try JSONDecoder().decode([String: Account].self, from: data)
    #expect(Set(all.keys) == Set(Self.names))
    return try #require(all[name])
  }

  @Test("the model and the prefix are named, with what load_state_dict misses", arguments: names)
  func found(_ name: String) throws {
    let state = try Checkpoint(contentsOf: Fixtures.path("prefixes/\(name).pt")).stateDict(
      at: "state_dict")
    let account = try account(name)
    let matches = try ModelZoo.standard.matches(state)
    #expect(matches.count == account.found.count)
    for wanted in account.found {
      let match = try #require(matches.first { $0.prefix == wanted.prefix }, "\(wanted.prefix)")
      #expect(match.name == account.model)
      #expect(match.lacking == wanted.missing)
      #expect(match.unexpected == wanted.unexpected)
      #expect(match.lacksOnlyHead == !wanted.missing.isEmpty)
      #expect(match.matched == match.count - wanted.missing.count)
    }
  }

  @Test("what is named loads and runs behind its prefix", arguments: names)
  func runs(_ name: String) throws {
    let state = try Checkpoint(contentsOf: Fixtures.path("prefixes/\(name).pt")).stateDict(
      at: "state_dict")
    let account = try account(name)
    for wanted in account.found {
      let inner = try state.filter(include: "re:^\(wanted.prefix)")
        .renamingKeys(.stripPrefix(wanted.prefix))
      let heads = ["vit_b_16", "bert", "llama", "gpt2"].contains(account.model) ? "heads=2" : nil
      let classes = wanted.missing.isEmpty ? nil : "classes=4"
      let options = [heads, classes].compactMap(\.self).joined(separator: ",")
      let spec = account.model + (options.isEmpty ? "" : ":" + options)
      let found = try ModelVerification(of: inner, as: ModelSpec(spec))
      #expect(found.run?.losses.count == 6)
      #expect(!found.problems.contains { $0.kind == .missingKeys || $0.kind == .unexpectedKeys })
      // The hint of what is run without taking the prefix away, where that can be inferred at all.
      let reference = try ModelZoo.standard.reference(ModelSpec(spec), for: state)
      #expect(reference.sizes == .inferredBehindPrefix)
    }
  }
}

@Suite("Models to check state dicts against")
struct ReferenceTests {
  let trained: StateDict

  init() throws {
    trained = try Checkpoint(contentsOf: Fixtures.path("models/trained_resnet18.pt")).stateDict()
  }

  @Test("sizes are the state dict's; what is missing, unexpected or of another shape is told")
  func inferred() throws {
    let zoo = ModelZoo.standard
    let own = try zoo.reference(ModelSpec("resnet18"), for: trained)
    #expect(own.sizes == .inferred)
    #expect(try trained.validate(against: own.stateDict).isLoadable)
    let other = try zoo.reference(ModelSpec("resnet18:classes=7"), for: trained)
    let report = try trained.validate(against: other.stateDict)
    #expect(report.mismatched.map(\.key) == ["fc.weight", "fc.bias"])
    #expect(report.mismatched.map(\.expected) == [[7, 16], [7]])
    let damaged = try trained.filter { key, _ in key != "layer3.0.conv1.weight" }
      .renamingKeys(.replace("layer4.1.bn2.bias", with: "layer4.1.bn2.offset"))
    let said = try damaged.validate(
      against: zoo.reference(ModelSpec("resnet18"), for: damaged).stateDict)
    #expect(said.missing == ["layer3.0.conv1.weight", "layer4.1.bn2.bias"])
    #expect(said.unexpected == ["layer4.1.bn2.offset"])
  }

  @Test("where shapes do not tell, the published sizes are taken")
  func published() throws {
    let zoo = ModelZoo.standard
    let bert = try Checkpoint(contentsOf: Fixtures.path("models/trained_bert.pt")).stateDict()
    // Torchvision's and transformers' own counts of parameters; BERT's with the pooler.
    let counts = [
      "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032,
      "resnet101": 44_549_160, "vgg16": 138_357_544, "mobilenet_v2": 3_504_872,
      "vit_b_16": 86_567_656, "gpt2": 124_439_808,
    ]
    for (name, count) in counts {
      let found = try zoo.reference(ModelSpec(name), for: bert)
      #expect(found.sizes == .published)
      #expect(found.model.module.parameters.reduce(0) { $0 + $1.count } == count, "\(name)")
      #expect(try !bert.validate(against: found.stateDict).isLoadable)
    }
    let found = try zoo.reference(ModelSpec("bert"), for: trained)
    #expect(found.model.module.parameters.reduce(0) { $0 + $1.count } == 109_482_240)
    #expect(
      message(of: ZooError.self) { try zoo.reference(ModelSpec("llama"), for: trained) }
        == "this is no llama: embed_tokens.weight: there is no such tensor")
    #expect(
      message(of: ZooError.self) { try zoo.reference(ModelSpec("alexnet"), for: trained) }
        == "no model is called \"alexnet\"")
  }
}
