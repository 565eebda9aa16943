import StateDictKit
import CkptTestSupport
import Testing

@testable import CkptMerging

@Suite("An adapter's configuration")
struct ConfigurationTests {
  private func read(_ json: String) throws -> LowRankAdapter.Configuration {
    try #require(try LowRank.configurations(json)[""])
  }

  /// A value for each kind of field that asks for something.
  private static let values = [
    "true", "3", "0.5", #""x""#, "[1]", #"{"a": 1}"#,
  ]

  @Test(
    "A field that is refused is named, unless it is not set",
    arguments: ConfigurationField.rules.keys.sorted())
  func refused(field: String) throws {
    let unset: [String]
    switch ConfigurationField.rules[field] {
    case .refusedIfTrue: unset = ["null", "false", "0", "[]", "{}", #""""#]
    case .refusedUnlessNull: unset = ["null"]
    case .decidesNothing:
      for value in Self.values + ["null"] { _ = try read(#"{"\#(field)": \#(value)}"#) }
      return
    default: return
    }
    for value in unset { _ = try read(#"{"\#(field)": \#(value)}"#) }
    for value in Self.values {
      let error = try #require(throws: MergeError.self) { try read(#"{"\#(field)": \#(value)}"#) }
      guard case .badConfiguration("c.json", let problems) = error else {
        Issue.record("\(error)")
        return
      }
      #expect(problems.count == 1)
      #expect(problems[0].hasPrefix("\(field) "), "\(problems)")
      #expect(error.kind == .badInput)
    }
  }

  @Test(
    "A field that is honored is named where its value cannot be read",
    arguments: ConfigurationField.rules.keys.sorted())
  func unreadable(field: String) throws {
    guard case .honored = ConfigurationField.rules[field] else { return }
    let error = try #require(throws: MergeError.self) { try read(#"{"\#(field)": {"(": [{}]}}"#) }
    #expect("\(error)".contains("\(field) "), "\(error)")
  }

  @Test("A field that nobody knows is named: an error if it asks for something")
  func unknown() throws {
    #expect(try read(#"{"new_field": null, "other": []}"#).unknownFields == ["new_field", "other"])
    let error = try #require(throws: MergeError.self) { try read(#"{"new_field": 3}"#) }
    #expect("\(error)".contains("new_field"))
    // All at once, with the part of the pipeline.
    let several = try #require(throws: MergeError.self) {
      try LowRank.configurations(
        #"{"unet.use_dora": true, "text_encoder.x": 1, "peft_type": "LOHA"}"#)
    }
    for field in ["unet.use_dora", "text_encoder.x", "peft_type"] {
      #expect("\(several)".contains(field), "\(several)")
    }
  }

  @Test(
    "What the initialization did to the base decides",
    arguments: [
      ("true", "plain"), ("false", "plain"), ("null", "plain"), (#""gaussian""#, "plain"),
      (#""eva""#, "plain"), (#""orthogonal""#, "plain"), (#""lora_ga""#, "plain"),
      (#""mica""#, "plain"), (#""pissa""#, "principal"), (#""olora""#, "triangular"),
      (#""OLoRA""#, "triangular"), (#""pissa_niter_16""#, nil), (#""corda""#, nil),
      (#""loftq""#, nil), (#""anything""#, nil), ("3", nil),
    ] as [(String, String?)])
  func initialization(value: String, wanted: String?) throws {
    let json = #"{"init_lora_weights": \#(value)}"#
    if let wanted {
      #expect("\(try read(json).initialization)" == wanted)
    } else {
      let error = try #require(throws: MergeError.self) { try read(json) }
      #expect("\(error)".contains("init_lora_weights is "), "\(error)")
    }
  }

  @Test("Patterns are expressions for whole dotted tails; the first in the file's order counts")
  func patterns() throws {
    let configuration = try read(
      #"""
      {"r": 4, "lora_alpha": 16,
       "alpha_pattern": {"layers.0.q": 64, "layers\\.[12]\\.q": 32, "q": 2, ".*\\.v|k": 1, "layers.0.v": 9},
       "rank_pattern": {"v": 8}}
      """#)
    for (module, alpha, rank) in [
      ("model.layers.0.q", 64.0, 4), ("model.layers.2.q", 32, 4), ("model.layers.3.q", 2, 4),
      ("q", 2, 4), ("xq", 16, 4), ("layers.0.v", 1, 8), ("a.k", 1, 4), ("layersX0.q", 64, 4),
      ("layers.0.q.more", 16, 4), ("v", 16, 8),
    ] {
      let size = configuration.size(of: module)
      #expect(size.alpha == alpha && size.rank == rank, "\(module): \(size)")
    }
    for pattern in ["(?!x)", "a++", "(?i)q", "\\\\Z"] {
      let error = try #require(throws: MergeError.self) {
        try read(#"{"alpha_pattern": {"\#(pattern)": 1}}"#)
      }
      #expect("\(error)".contains("alpha_pattern"), "\(error)")
    }
  }

  @Test("The rank must be the matrices', and alpha is divided by it or its root")
  func rank() throws {
    let base = StateDict(["q.weight": try LowRank.tensor([2, 2])])
    let pair = [
      ("q.lora_A.weight", try Tensor([1, 1, 1, 1, 1, 1, 1, 1] as [Float], shape: [4, 2])),
      ("q.lora_B.weight", try Tensor([1, 1, 1, 1, 1, 1, 1, 1] as [Float], shape: [2, 4])),
    ]
    // B A is 4 everywhere.
    for (json, wanted) in [
      (#"{"lora_alpha": 2, "r": 4}"#, [3, 4, 5, 6] as [Float]),
      (#"{"lora_alpha": 2, "r": 4, "use_rslora": true}"#, [5, 6, 7, 8]),
      (#"{"lora_alpha": 2, "r": 8, "rank_pattern": {"q": 4}}"#, [3, 4, 5, 6]),
      (#"{"unet.lora_alpha": 4, "lora_alpha": 2}"#, [3, 4, 5, 6]),
    ] {
      let result = try LowRank.merged(pair, json, into: base)
      #expect(try result.stateDict["q.weight"]?.floats() == wanted, "\(json)")
    }
    #expect(
      try LowRank.problems(pair, #"{"lora_alpha": 2, "r": 8}"#, into: base).contains("rank_pattern")
    )
    let unet = pair.map { ("unet." + $0.0, $0.1) }
    let result = try LowRank.merged(unet, #"{"unet.lora_alpha": 4, "lora_alpha": 2}"#, into: base)
    #expect(try result.stateDict["q.weight"]?.floats() == [5, 6, 7, 8])
  }

  @Test(
    "What the configuration leaves out, and the file has, is an error",
    arguments: [
      (#""target_modules": ["k"]"#, "target_modules"),
      (#""target_modules": ".*\\.[kv]""#, "target_modules"),
      (#""target_modules": ["q"], "exclude_modules": ["layers.1.q"]"#, "exclude_modules"),
      (#""target_modules": ["q"], "layers_to_transform": [0, 2]"#, "layers_to_transform"),
      (
        #""target_modules": ["q"], "layers_to_transform": 1, "layers_pattern": "blocks""#,
        "layers_to_transform"
      ),
      (#""modules_to_save": ["layers"]"#, "modules_to_save"),
      (#""target_modules": ["q"]"#, nil), (#""target_modules": "all-linear""#, nil),
      (#""target_modules": ["q"], "layers_to_transform": [1], "layers_pattern": ["layers"]"#, nil),
      (#""target_modules": ["m.layers.1.q"], "layers_to_transform": [0]"#, nil),
      (#""target_modules": ".*q", "exclude_modules": []"#, nil),
    ] as [(String, String?)])
  func targets(fields: String, field: String?) throws {
    let base = StateDict(["m.layers.1.q.weight": try LowRank.tensor([2, 2])])
    let adapter = try LowRank.ones("base_model.model.m.layers.1.q", rows: 2, columns: 2)
    let json = #"{"lora_alpha": 1, \#(fields)}"#
    if let field {
      #expect(try LowRank.problems(adapter, json, into: base).contains(field))
    } else {
      #expect(try LowRank.merged(adapter, json, into: base).merged == ["m.layers.1.q.weight"])
    }
  }
}
