import CkptPatterns
import CkptIO
import Foundation
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("An optimizer's numbers are matched with names")
struct OptimizerTests {
  private struct Known: Decodable {
    let names: [String]
  }

  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func known(_ name: String) throws -> [String] {
    try Fixtures.decode(Known.self, from: "optimizers/\(name).json").names
  }

  private func checkpoint(_ name: String) throws -> Checkpoint {
    try Checkpoint(contentsOf: Fixtures.path("optimizers/\(name).pt"))
  }

  @Test(
    "The names are those of the objects that PyTorch had in memory",
    arguments: ["sgd", "adam_named", "adafactor", "timm", "nanogpt", "not_stepped", "frozen"])
  func names(name: String) throws {
    let checkpoint = try checkpoint(name)
    #expect(checkpoint.optimizerPaths() == ["optimizer"])
    let optimizer = try checkpoint.optimizerState(at: "optimizer", model: model(name))
    if name == "not_stepped" {
      // Nothing shows the shapes, and the queue looks like a parameter.
      #expect(optimizer.parameters.allSatisfy { $0.name == nil })
    } else {
      #expect(optimizer.parameters.map(\.name) == (try known(name)))
    }
  }

  /// The model's state dict; without the float buffer for rules that count.
  private func model(_ name: String) throws -> StateDict {
    let all = try checkpoint(name).stateDict(at: "model")
    return ["timm", "nanogpt"].contains(name) ? try all.filter(exclude: "is:queue") : all
  }

  @Test("Names are recorded, inferred or given, and never guessed")
  func naming() throws {
    #expect(try checkpoint("adam_named").optimizerStates()[0].naming == .recorded)
    guard case .inferred = try checkpoint("sgd").optimizerStates()[0].naming else {
      Issue.record("not inferred")
      return
    }
    for name in ["head_first", "not_stepped", "frozen_unclear"] {
      guard case .unknown = try checkpoint(name).optimizerStates()[0].naming else {
        Issue.record("guessed (\(name))")
        return
      }
    }
    let names = try known("head_first")
    let given = try checkpoint("head_first").optimizerState(at: "optimizer", names: names)
    #expect(given.parameters.map(\.name) == names && given.naming == .given)
    #expect(
      message(of: OptimizerError.self) {
        try checkpoint("head_first").optimizerState(at: "optimizer", names: names.reversed())
      }
        == "parameter 0 has the shape [6, 4], embed.weight has [7, 4] (\(Fixtures.path("optimizers/head_first.pt")), object optimizer)"
    )
    #expect(
      message(of: OptimizerError.self) {
        try checkpoint("sgd").optimizerState(at: "optimizer", names: ["a"])
      }
        == "1 names are given for the optimizer's 8 parameters (\(Fixtures.path("optimizers/sgd.pt")), object optimizer)"
    )
    #expect(
      message(of: OptimizerError.self) { try checkpoint("sgd").optimizerState(at: "model") }
        == "collections.OrderedDict of 13 is no optimizer's state (\(Fixtures.path("optimizers/sgd.pt")), object model)"
    )
  }

  @Test("Lightning's optimizers are found in their list")
  func lightning() throws {
    let optimizers = try checkpoint("lightning").optimizerStates()
    #expect(optimizers.map(\.path) == ["optimizer_states/0"])
    let names = try known("lightning").map { "model." + $0 }
    #expect(optimizers[0].parameters.map(\.name) == names)
    #expect(optimizers[0].parameters[0].state.map(\.key).contains("exp_avg"))
    #expect(optimizers[0].groups[0].options.contains { $0.key == "lr" && $0.summary == "0.01" })
  }

  @Test("Parameters are taken out, renamed and cleared; the rest is numbered anew")
  func edit() throws {
    var checkpoint = try checkpoint("adam_named")
    let before = try checkpoint.optimizerState(at: "optimizer")
    let edit = try checkpoint.editOptimizer(before) { name in
      name.hasPrefix("conv.") ? .remove : name == "fc.bias" ? .clear : .keep(as: "m." + name)
    }
    #expect(edit.removed == ["conv.weight", "conv.bias"] && edit.cleared == ["fc.bias"])
    #expect(edit.kept == before.parameters.count - 2 && edit.renamed.count == edit.kept - 1)
    let path = folder.file("out.pt")
    try checkpoint.write(to: path)
    let after = try Checkpoint(contentsOf: path).optimizerState(at: "optimizer")
    #expect(after.parameters.map(\.id) == (0..<edit.kept).map { "\($0)" })
    for parameter in after.parameters {
      let name = try #require(parameter.name)
      let old = try #require(
        before.parameters.first { "m." + ($0.name ?? "") == name || $0.name == name })
      #expect(parameter.state.map(\.key) == (name == "fc.bias" ? [] : old.state.map(\.key)))
      for (new, entry) in zip(parameter.state, old.state) {
        #expect(try new.tensor?.contiguousBytes() == entry.tensor?.contiguousBytes())
      }
    }
  }

  @Test("Nothing is changed where the names are not known")
  func refused() throws {
    var checkpoint = try checkpoint("head_first")
    let optimizer = try checkpoint.optimizerState(at: "optimizer")
    #expect(throws: OptimizerError.self) {
      try checkpoint.editOptimizer(optimizer) { .keep(as: $0) }
    }
  }

  @Test("Optimizers follow an edit of the model's keys, or are told to stay behind")
  func follow() throws {
    for name in ["sgd", "adam_named"] {
      var checkpoint = try checkpoint(name)
      let model = try checkpoint.stateDict()
      let report = try model.keyReport([
        .exclude([KeyPattern("under:conv")]), .rename(.addPrefix("m.")),
      ])
      let impact = try checkpoint.optimizersLeftBehind(by: report, of: model)
      #expect(impact.map(\.gone) == [["conv.weight", "conv.bias"]])
      #expect(impact[0].renamed.isEmpty == (name == "sgd"))
      let edits = try checkpoint.letOptimizersFollow(report, of: model)
      #expect(edits.map(\.kept) == [try known(name).count - 2])
      let after = try checkpoint.optimizerState(
        at: "optimizer", names: known(name).filter { !$0.hasPrefix("conv.") })
      #expect(after.parameters.allSatisfy { $0.shape == model[$0.name ?? ""]?.shape })
    }
    // Buffers and order do not concern it.
    let checkpoint = try checkpoint("sgd")
    let model = try checkpoint.stateDict()
    let report = try model.keyReport([
      .exclude([KeyPattern("queue")]), .rename(.addPrefix("m.")),
    ])
    #expect(try checkpoint.optimizersLeftBehind(by: report, of: model).isEmpty)
  }

  @Test("Where the names are not known, a parameter that goes is told, and nothing is guessed")
  func unclear() throws {
    var checkpoint = try checkpoint("head_first")
    let model = try checkpoint.stateDict()
    let report = try model.keyReport([.exclude([KeyPattern("under:fc")])])
    #expect(
      try checkpoint.optimizersLeftBehind(by: report, of: model)[0].gone == [
        "fc.weight", "fc.bias",
      ])
    #expect(throws: OptimizerError.self) {
      try checkpoint.letOptimizersFollow(report, of: model)
    }
    let edits = try checkpoint.letOptimizersFollow(
      report, of: model, names: .names(known("head_first")))
    #expect(edits[0].removed == ["fc.weight", "fc.bias"])
  }
}
