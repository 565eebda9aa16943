import Foundation
import ModelZoo
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing
import TrainingCore

@Suite("Rows of tables that no input reached")
struct UntouchedRowTests {
  /// A BERT whose weights all went some way from where they began, but for rows of its tables.
  ///
  /// - Parameter trained: how many rows of each table moved; without one, all.
  private func weights(
    _ trained: [String: Int], seed: UInt64, positions: Int = 512, vocabulary: Int = 600
  ) throws -> StateDict {
    let random = RandomSource(seed: seed)
    let model = try BERT(
      BERT.Sizes(
        vocabulary: vocabulary, positions: positions, width: 128, layers: 1, heads: 4, hidden: 128),
      head: .none, hasPrefix: false, from: random)
    var result = StateDict()
    for (key, tensor) in try model.stateDict().tensors {
      var values = try Variable(tensor).floats()
      let noise = try Variable.normal([values.count], from: random).floats()
      let table = trained.first { key.contains($0.key) }?.value
      let moved = table.map { $0 * (tensor.shape.last ?? 1) } ?? values.count
      for position in values.indices.prefix(moved) { values[position] += 0.02 * noise[position] }
      result[key] = try Tensor(values, shape: tensor.shape)
    }
    return result
  }

  private func verify(_ state: StateDict) throws -> ModelVerification {
    var options = ModelVerification.Options()
    options.steps = 0
    return try ModelVerification(of: state, as: ModelSpec("bert:heads=4"), options)
  }

  @Test("are a note where others were trained", arguments: [1, 2, 16, 128, 400])
  func partly(rows: Int) throws {
    for (table, count) in [("position_embeddings", 512), ("word_embeddings", 600)] {
      let found = try verify(weights([table: rows], seed: UInt64(rows)))
      #expect(found.problems == [])
      // Where many rows moved, the table as a whole no longer looks new, and nothing is to be said.
      if rows <= 2 {
        let note = try #require(found.notes.first { $0.contains(table) })
        #expect(note.contains("of \(count) rows"))
      }
    }
  }

  @Test("prove nothing of places, but a vocabulary that is new throughout is off")
  func whole() throws {
    let positions = try verify(weights(["position_embeddings": 0], seed: 1))
    #expect(positions.problems == [] && positions.notes.contains { $0.contains("512 of 512 rows") })
    let words = try verify(weights(["word_embeddings": 0], seed: 2))
    #expect(words.problems.map(\.keys) == [["embeddings.word_embeddings.weight"]])
    #expect(words.problems.map(\.kind) == [.initialization])
  }

  @Test("do not hide a backbone that is new")
  func new() throws {
    let model = try BERT(
      BERT.Sizes(vocabulary: 600, positions: 512, width: 128, layers: 1, heads: 4, hidden: 512),
      head: .none, hasPrefix: false, from: RandomSource(seed: 4))
    let found = try verify(model.stateDict())
    #expect(found.problems.contains { $0.kind == .initialization })
  }

  @Test("What config.json says comes before what is usual, and behind the options")
  func configuration() throws {
    let state = try weights([:], seed: 5, positions: 8, vocabulary: 20)
    func model(_ spec: String, _ values: [String: ModelConfig.Value]?) throws -> ZooModel {
      var spec = try ModelSpec(spec)
      spec.options.config = values.map { ModelConfig(path: "config.json", values: $0) }
      return try ModelZoo.standard.makeModel(spec, fitting: state)
    }
    func heads(_ model: ZooModel) -> Int? {
      model.hyperparameters.first { $0.name == "heads" }?.value
    }
    let bare = try model("bert", nil)
    #expect(heads(bare) == 2 && bare.guessed == ["heads", "epsilon", "activation"])
    let told: [String: ModelConfig.Value] = [
      "model_type": .text("bert"), "num_attention_heads": .number(8),
      "layer_norm_eps": .number(1e-5), "hidden_act": .text("relu"),
    ]
    let configured = try model("bert", told)
    #expect(heads(configured) == 8 && configured.guessed.isEmpty)
    #expect(configured.configured == ["heads", "epsilon", "activation"])
    let given = try model("bert:heads=4", told)
    #expect(heads(given) == 4 && given.configured == ["epsilon", "activation"])
    // Of another model, or not to be believed: nothing is taken from it.
    for (field, value) in [
      ("model_type", ModelConfig.Value.text("roberta")), ("num_attention_heads", .number(1e300)),
      ("num_attention_heads", .number(-.infinity)), ("num_attention_heads", .text("8")),
      ("num_attention_heads", .number(2.5)),
    ] {
      var values = told
      values[field] = value
      let model = try model("bert", values)
      #expect(heads(model) == 2 && model.guessed.contains("heads"))
      if field == "model_type" { #expect(model.notes.contains { $0.contains("roberta") }) }
    }
    var odd = told
    odd["hidden_act"] = .text("mish")
    odd["position_embedding_type"] = .text("relative_key")
    let notes = try model("bert", odd).notes.joined()
    #expect(notes.contains("mish") && notes.contains("relative_key"))
    // It is run with what it says: other heads, other outputs.
    let input = try Variable(indices: [1, 2, 3, 4], shape: [1, 4])
    func outputs(_ model: ZooModel) throws -> [Float] {
      _ = try model.module.load(state)
      return try noGrad { try model.module.eval()(input).floats() }
    }
    #expect(try outputs(configured) != outputs(bare))
  }
}
