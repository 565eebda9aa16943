import StateDictKit
import TestSupport
import Testing

@Suite("Recipes of merges")
struct RecipeTests {
  /// A model of four layers, whose numbers are `value` plus the layer.
  private func model(_ value: Float) throws -> StateDict {
    var result = StateDict()
    result["embed.weight"] = try Tensor([value], shape: [1])
    for layer in 0..<4 {
      for part in ["attn", "mlp"] {
        result["layers.\(layer).\(part).weight"] = try Tensor([value + Float(layer)], shape: [1])
      }
    }
    result["norm.weight"] = try Tensor([value], shape: [1])
    return result
  }

  private func merged(_ yaml: String) throws -> [(String, Float)] {
    let recipe = try MergeRecipe(yaml: yaml, file: "/models/recipe.yml")
    let options = StateDictMerge(method: recipe.method, inputs: [])
    let result = try recipe.merged(options: options) { path in
      try model(path == "/models/a.pt" ? 0 : 100)
    }
    return try result.stateDict.tensors.map {
      ($0.key, try $0.tensor.converting(to: .float32).floats()?.first ?? .nan)
    }
  }

  @Test("Filters, gradients and levels decide a value as in mergekit")
  func settings() throws {
    let result = try merged(
      """
      merge_method: linear
      models:
        - model: a.pt
          parameters:
            weight:
              - {filter: attn, value: [0, 3]}
              - {filter: mlp, value: 1}
        - model: b.pt
      parameters: {weight: 2e-0, normalize: false}
      """)
    let values = Dictionary(uniqueKeysWithValues: result)
    // No filter matches, so the common value counts: 2 * 0 + 2 * 100. Then 3 * 3 + 2 * 103, and so on.
    #expect(values["embed.weight"] == 200)
    #expect(values["layers.3.attn.weight"] == 215)
    #expect(values["layers.1.attn.weight"] == 203)
    #expect(values["layers.2.mlp.weight"] == 206)
  }

  @Test("Slices stack layers of several models")
  func slices() throws {
    let result = try merged(
      """
      merge_method: passthrough
      slices:
        - sources: [{model: a.pt, layer_range: [0, 3]}]
        - sources:
            - model: b.pt
              layer_range: [2, 4]
              parameters: {scale: [{filter: mlp, value: 0.5}]}
      dtype: float64
      out_dtype: float16
      """)
    #expect(
      result.map(\.0) == ["embed.weight"]
        + (0..<5).flatMap { ["layers.\($0).attn.weight", "layers.\($0).mlp.weight"] }
        + ["norm.weight"])
    #expect(result.map(\.1) == [0, 0, 0, 1, 1, 2, 2, 102, 51, 103, 51.5, 100])
  }

  @Test("A recipe names its models once, relative to itself")
  func paths() throws {
    let recipe = try MergeRecipe(
      yaml:
        "{merge_method: ties, base_model: ../b, models: [{model: a}, {model: /x/c}, {model: a}]}",
      file: "/models/recipe.yml")
    #expect(recipe.models == ["/models/../b", "/models/a", "/x/c"])
    #expect(recipe.method == .ties)
  }

  @Test(
    "What cannot be carried out is refused, with its place",
    arguments: [
      ("[]", "no mapping"), ("a: [", "YAML"), ("{}", "merge_method"),
      ("{merge_method: none, models: []}", "none"),
      ("{merge_method: linear}", "neither"), ("{merge_method: linear, models: []}", "no models"),
      ("{merge_method: linear, models: [{model: a}], slices: []}", "both"),
      ("{merge_method: linear, models: [{model: a}], tokenizer_source: union}", "tokenizer"),
      ("{merge_method: linear, models: [{model: a}], chat_template: auto}", "chat"),
      ("{merge_method: linear, modules: {}}", "modules"),
      ("{merge_method: linear, modell: 1}", "modell"),
      ("{merge_method: linear, models: [3]}", "models[0]"),
      ("{merge_method: linear, models: [{model: a, layer_range: [0, 1]}]}", "layer_range"),
      ("{merge_method: linear, models: [{model: a, parameters: {weigth: 1}}]}", "weigth"),
      ("{merge_method: linear, models: [{model: a, parameters: {weight: [1, x]}}]}", "weight"),
      ("{merge_method: linear, models: [{model: a, parameters: {weight: .nan}}]}", "weight"),
      (
        "{merge_method: linear, models: [{model: a, parameters: {weight: [{filter: x}]}}]}",
        "weight[0]"
      ),
      ("{merge_method: linear, models: [{model: a}], dtype: int8}", "dtype"),
      ("{merge_method: linear, slices: [{sources: [{model: a}]}]}", "layer_range"),
      (
        "{merge_method: linear, slices: [{sources: [{model: a, layer_range: [3, 1]}]}]}",
        "layer_range"
      ),
      (
        "{merge_method: linear, slices: [{sources: [{model: a, layer_range: [-1, 1]}]}]}",
        "layer_range"
      ),
      (
        "{merge_method: linear, parameters: {weight: 1}, slices: [{sources: [{model: a, layer_range: [0, 9]}]}]}",
        "layer 8 of 4"
      ),
      (
        "{merge_method: linear, slices: [{residual_weight: 1, sources: [{model: a, layer_range: [0, 1]}]}]}",
        "residual"
      ),
      (String(repeating: "[", count: 5000), "nests"),
      (String(repeating: "- ", count: 5000), "nests"),
    ])
  func refused(yaml: String, says: String) throws {
    let error = try #require(throws: MergeError.self) { try merged(yaml) }
    #expect("\(error)".contains(says), "\(error)")
    #expect("\(error)".contains("/models/recipe.yml"))
  }
}

@Suite("Adapters of low rank")
struct LowRankTests {
  private func tensor(_ shape: [Int], _ first: Float = 1) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { first + Float($0) }, shape: shape)
  }

  @Test("The product is added, from any place on")
  func sum() throws {
    let base = StateDict(["m.q.weight": try tensor([3, 2])])
    let adapter = StateDict([
      "base_model.model.m.q.lora_A.weight": try tensor([1, 2], 10),
      "base_model.model.m.q.lora_B.weight": try tensor([3, 1], 1),
    ])
    var configuration = LowRankAdapter.Configuration()
    configuration.alpha = 2
    let result = try LowRankAdapter(adapter, name: "a", configuration: configuration)
      .merged(into: base, baseName: "b", scale: 0.5)
    let merged = try #require(result.stateDict["m.q.weight"])
    // 1 to 6, and [1, 2, 3] times [10, 11].
    #expect(try merged.floats() == [11, 13, 23, 26, 35, 39])
    let whole = try merged.contiguousBytes()
    for start in 0..<24 {
      #expect(try merged.storage.bytes(in: start..<24) == Array(whole[start...]))
    }
    #expect(result.merged == ["m.q.weight"])
  }

  @Test("Rows of several blocks")
  func wide() throws {
    let base = StateDict(["w.weight": try tensor([3, 5000], 0)])
    let adapter = StateDict([
      "lora_unet_w.lora_down.weight": try tensor([2, 5000], 0),
      "lora_unet_w.lora_up.weight": try tensor([3, 2], 1),
    ])
    let merged = try LowRankAdapter(adapter, name: "a").merged(into: base, baseName: "b")
    let values = try #require(try merged.stateDict["w.weight"]?.floats())
    for (row, column) in [(0, 0), (0, 4999), (1, 4096), (2, 17)] {
      let product = Float(2 * row + 1) * Float(column) + Float(2 * row + 2) * Float(5000 + column)
      #expect(values[row * 5000 + column] == Float(row * 5000 + column) + product)
    }
  }

  @Test("Everything that does not fit is told at once")
  func misfits() throws {
    let base = StateDict([
      "a.x.weight": try tensor([2, 2]), "b.x.weight": try tensor([2, 2]),
      "c.weight": try tensor([4]),
    ])
    let adapter = StateDict([
      "x.lora_A.weight": try tensor([1, 2]), "x.lora_B.weight": try tensor([2, 1]),
      "a.x.lora_A.weight": try tensor([1, 3]), "a.x.lora_B.weight": try tensor([2, 1]),
      "c.lora_A.weight": try tensor([1, 4]), "c.lora_B.weight": try tensor([1, 1]),
      "d.lora_A.weight": try tensor([1, 4]), "d.lora_B.weight": try tensor([1, 1]),
      "e.lora_A.weight": try tensor([1, 4]),
      "b.x.lora_magnitude_vector": try tensor([2]),
      "b.x.lora_B.bias": try tensor([2]),
      "z.bias": try tensor([2]),
    ])
    let error = try #require(throws: MergeError.self) {
      try LowRankAdapter(adapter, name: "adapter.pt").merged(into: base, baseName: "base.pt")
    }
    guard case .badAdapter(let problems, _) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(problems.count == 8, "\(problems)")
    #expect(throws: MergeError.self) {
      try LowRankAdapter(StateDict(), name: "empty").merged(into: base, baseName: "base.pt")
    }
  }
}
