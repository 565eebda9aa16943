import StateDictKit
import CkptTestSupport
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
      ($0.key, try $0.tensor.converting(to: .float32).floats().first ?? .nan)
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
