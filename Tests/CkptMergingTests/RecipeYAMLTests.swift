import StateDictKit
import CkptTestSupport
import Testing

@Suite("Recipes as mergekit reads them")
struct RecipeYAMLTests {
  private func merged(
    _ yaml: String, _ models: [String: StateDict], same: [String: Int] = [:]
  ) throws -> StateDictMerge.Result {
    let recipe = try MergeRecipe(yaml: yaml, file: "/m/recipe.yml")
    return try recipe.merged(
      options: StateDictMerge(method: recipe.method, inputs: []),
      identify: { path in same[String(path.dropFirst(3))].map { AnyHashable($0) } },
      load: { try #require(models[String($0.dropFirst(3))]) })
  }

  private func model(_ value: Float, head: Float? = nil) throws -> StateDict {
    var result = StateDict()
    result["model.embed_tokens.weight"] = try Tensor([value], shape: [1])
    for layer in 0..<2 {
      result["model.layers.\(layer).w"] = try Tensor([value + Float(layer)], shape: [1])
    }
    if let head { result["lm_head.weight"] = try Tensor([head], shape: [1]) }
    return result
  }

  private func values(_ result: StateDictMerge.Result) throws -> [String: Float] {
    try Dictionary(
      uniqueKeysWithValues: result.stateDict.tensors.map {
        ($0.key, try $0.tensor.floats().first ?? .nan)
      })
  }

  @Test(
    "Merge keys and keys that hold anchors give what the pairs give that they stand for",
    arguments: [
      // An anchor of its own, and a merge into a source.
      """
      shared: &s
        parameters: {weight: 3}
      models:
        - {model: a, <<: *s}
        - {model: b, parameters: {weight: 1}}
      """,
      // A pair of one's own comes before a merged one.
      """
      shared: &s {weight: 7, normalize: true}
      models:
        - model: a
          parameters: {<<: *s, weight: 3}
        - model: b
          parameters: {weight: 1, <<: *s}
      """,
      // Several are merged; what is merged may merge, too.
      """
      holder:
        - &three {weight: 3}
        - &normal {normalize: true}
        - &both {<<: [*three, *normal]}
      models:
        - model: a
          parameters: {<<: [*both, *three]}
        - model: b
          parameters: {<<: [*three, *normal], weight: 1}
      """,
      // At the root.
      """
      x-models: &m
        models:
          - {model: a, parameters: {weight: 3}}
          - {model: b, parameters: {weight: 1}}
      <<: *m
      """,
    ])
  func mergeKeys(yaml: String) throws {
    let models = ["a": try model(0), "b": try model(4)]
    let result = try merged(yaml + "\nmerge_method: linear\n", models)
    #expect(try values(result)["model.layers.1.w"] == 2)
  }

  @Test(
    "Keys without a meaning are still errors, and so is what cannot be merged",
    arguments: [
      ("modell: 1", "modell"), ("modell: &unused {a: 1}", "modell"),
      ("s: &s [1]\nparameters: {<<: *s}", "no mapping"),
      ("a: &a {t: 1}\nb: &b {t: 2}\nparameters: {<<: [*a, *b]}", "both have t"),
      (
        "a0: &a0 {weight: 1}\n"
          + (1..<40).map { "a\($0): &a\($0) {<<: *a\($0 - 1)}" }
          .joined(separator: "\n") + "\nparameters: {<<: *a39}", "too many"
      ),
      (
        "a0: &a0 {weight: 1}\n"
          + (1..<200).map { "a\($0): &a\($0) {<<: [*a\($0 - 1), *a\($0 - 1)]}" }
          .joined(separator: "\n") + "\nparameters: {<<: *a199}", "nests deeper"
      ),
    ])
  func refused(yaml: String, says: String) throws {
    let error = try #require(throws: MergeError.self) {
      try merged(yaml + "\nmerge_method: linear\nmodels: [{model: a}]\n", ["a": model(0)])
    }
    #expect("\(error)".contains(says), "\(error)")
  }

  @Test("Two paths of one model are one model, so that a base is none of the others")
  func identity() throws {
    let models = ["base": try model(0), "./base": try model(0), "a": try model(4)]
    for base in ["base", "./base"] {
      let result = try merged(
        """
        merge_method: task_arithmetic
        base_model: \(base)
        models: [{model: base}, {model: a}]
        parameters: {weight: 1, normalize: true}
        """, models, same: ["base": 1, "./base": 1, "a": 2])
      #expect(try values(result)["model.embed_tokens.weight"] == 4)
    }
  }

  @Test(
    "A model without a head has its embedding for it, whichever place it has",
    arguments: [false, true])
  func tiedHeads(isFirst: Bool) throws {
    let models = ["tied": try model(8), "untied": try model(0, head: 16)]
    let (tied, untied) = (("tied", 0.75), ("untied", 0.25))
    let sources = isFirst ? [tied, untied] : [untied, tied]
    let lists = [
      "models:\n"
        + sources.map { "  - {model: \($0.0), parameters: {weight: \($0.1)}}" }
        .joined(separator: "\n"),
      "slices:\n  - sources:\n"
        + sources.map {
          "    - {model: \($0.0), layer_range: [0, 2], parameters: {weight: \($0.1)}}"
        }.joined(separator: "\n"),
    ]
    for list in lists {
      let result = try merged("merge_method: linear\n\(list)\n", models)
      #expect(try values(result)["lm_head.weight"] == 10)
      #expect(try values(result)["model.embed_tokens.weight"] == 6)
      #expect(result.tiedHeads.map(\.embedding) == ["model.embed_tokens.weight"])
      #expect(result.tiedHeads.map(\.input) == ["/m/tied"])
    }
  }

  @Test("Numbers that overflow when inputs are rounded to the recipe's dtype are told")
  func rounding() throws {
    let result = try merged(
      "{merge_method: passthrough, dtype: float16, models: [{model: a}]}",
      ["a": model(70000)])
    for (_, tensor) in result.stateDict.tensors { _ = try tensor.contiguousBytes() }
    let lost = result.roundings.filter { $0.tally.losses.overflowed > 0 }
    #expect(lost.map(\.key).contains("model.embed_tokens.weight") && lost[0].input == "/m/a")
  }
}
