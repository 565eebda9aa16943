import CkptText
import StateDictKit
import CkptTestSupport
import Testing

/// Tensors, adapters and configurations for the tests of this folder.
enum LowRank {
  /// Numbers that count up from `first`.
  static func tensor(_ shape: [Int], _ first: Float = 1) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { first + Float($0) }, shape: shape)
  }

  /// The matrices of rank 1 whose product is 1 everywhere.
  static func ones(_ module: String, rows: Int, columns: Int) throws -> [(String, Tensor)] {
    [
      (
        "\(module).lora_A.weight",
        try Tensor([Float](repeating: 1, count: columns), shape: [1, columns])
      ),
      (
        "\(module).lora_B.weight", try Tensor([Float](repeating: 1, count: rows), shape: [rows, 1])
      ),
    ]
  }

  static func stateDict(_ tensors: [(String, Tensor)]) -> StateDict {
    var result = StateDict()
    for (key, tensor) in tensors { result[key] = tensor }
    return result
  }

  /// The configurations that a JSON text says.
  static func configurations(_ json: String) throws -> [String: LowRankAdapter.Configuration] {
    try .init(
      uniqueKeysWithValues:
        LowRankAdapter.Configuration.read(PlainValue(JSONValue(parsing: json)), source: "c.json")
        .map { ($0.key, $0.value) })
  }

  /// Merges an adapter into a base.
  static func merged(
    _ adapter: [(String, Tensor)], _ json: String = #"{"lora_alpha": 1}"#, into base: StateDict,
    scale: Double? = nil
  ) throws -> StateDictMerge.Result {
    try LowRankAdapter(stateDict(adapter), name: "a", configurations: configurations(json))
      .merged(into: base, baseName: "b", scale: scale)
  }

  /// What stands in the way of a merge.
  static func problems(
    _ adapter: [(String, Tensor)], _ json: String = #"{"lora_alpha": 1}"#, into base: StateDict
  ) throws -> String {
    let error = try #require(throws: MergeError.self) { try merged(adapter, json, into: base) }
    return "\(error)"
  }
}

@Suite("Adapters of low rank")
struct LowRankTests {
  private func tensor(_ shape: [Int], _ first: Float = 1) throws -> Tensor {
    try LowRank.tensor(shape, first)
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

  @Test(
    "Rows and ranks of several blocks, rows longer than a block",
    arguments: [(200, 500, 3), (3, 300_000, 2), (2, 14_336, 512)])
  func large(rows: Int, columns: Int, rank: Int) throws {
    // All rows of the base and of down are one, and all columns of up: storages stay small.
    func repeated(_ row: [Float], _ shape: [Int], _ strides: [Int]) throws -> Tensor {
      let storage = try Tensor(row, shape: [row.count]).storage
      return try Tensor(storage: storage, dtype: .float32, shape: shape, strides: strides)
    }
    let base = StateDict([
      "w.weight": try repeated((0..<columns).map { Float($0) }, [rows, columns], [0, 1])
    ])
    let adapter = StateDict([
      "lora_unet_w.lora_down.weight": try repeated(
        (0..<columns).map { Float($0 % 7) }, [rank, columns], [0, 1]),
      "lora_unet_w.lora_up.weight": try repeated(
        (0..<rows).map { Float($0 % 5) }, [rows, rank], [1, 0]),
      "lora_unet_w.alpha": try Tensor([Int64(rank)], shape: [1]),
    ])
    let result = try LowRankAdapter(adapter, name: "a").merged(into: base, baseName: "b")
    let merged = try #require(result.stateDict["w.weight"])
    let whole = try merged.contiguousBytes()
    for position in stride(from: 0, to: rows * columns, by: 997) {
      let (row, column) = (position / columns, position % columns)
      let bits = (0..<4).reduce(0) { $0 | UInt32(whole[4 * position + $1]) << UInt32(8 * $1) }
      let wanted = Float(column) + Float(rank * (column % 7) * (row % 5))
      guard Float(bitPattern: bits) == wanted else {
        Issue.record("\(row), \(column): \(Float(bitPattern: bits)) for \(wanted)")
        return
      }
    }
    for start in stride(from: 1, to: whole.count, by: whole.count / 5) {
      let end = min(start + 70_001, whole.count)
      #expect(try merged.storage.bytes(in: start..<end) == Array(whole[start..<end]))
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
    #expect(
      message(of: MergeError.self) {
        try LowRankAdapter(StateDict(), name: "empty").merged(into: base, baseName: "base.pt")
      }
        == "the adapter does not fit the base: it holds no adapter's weights")
  }

  @Test("Without any alpha the merge needs a scale, and that is the whole scale")
  func scale() throws {
    let base = StateDict(["q.weight": try tensor([2, 2])])
    let adapter = LowRankAdapter(
      LowRank.stateDict(try LowRank.ones("q", rows: 2, columns: 2)), name: "a.pt")
    #expect(adapter.modulesWithoutAlpha == ["q"])
    #expect(throws: MergeError.noScale(adapter: "a.pt", modules: ["q"])) {
      try adapter.merged(into: base, baseName: "b")
    }
    let result = try adapter.merged(into: base, baseName: "b", scale: 3)
    #expect(try result.stateDict["q.weight"]?.floats() == [4, 5, 6, 7])
    // Where some modules have alpha, no number could be right for the others.
    var mixed = try LowRank.ones("q", rows: 2, columns: 2)
    mixed += try LowRank.ones("k", rows: 2, columns: 2)
    mixed.append(("k.alpha", try Tensor([2] as [Float], shape: [])))
    let both = StateDict(["q.weight": try tensor([2, 2]), "k.weight": try tensor([2, 2])])
    let error = try #require(throws: MergeError.self) {
      try LowRank.merged(mixed, "{}", into: both, scale: 1)
    }
    #expect("\(error)".contains("q has no alpha"), "\(error)")
    #expect(
      try LowRank.problems(mixed, #"{"lora_alpha": 1}"#, into: both).contains("k: alpha is 2.0"))
  }

  @Test(
    "Every form of a module's key means the module",
    arguments: [
      ("m.q.lora_A.weight", "m.q.lora_B.weight"),
      ("base_model.model.m.q.lora_A.weight", "base_model.model.m.q.lora_B.weight"),
      ("base_model.model.m.q.lora_A.default.weight", "base_model.model.m.q.lora_B.default.weight"),
      ("unet.m.q.lora_A.weight", "unet.m.q.lora_B.weight"),
      ("transformer.m.q.lora_A.weight", "transformer.m.q.lora_B.weight"),
      ("diffusion_model.m.q.lora_down.weight", "diffusion_model.m.q.lora_up.weight"),
      ("unet.m.q.lora.down.weight", "unet.m.q.lora.up.weight"),
      (
        "text_encoder.m.q.lora_linear_layer.down.weight",
        "text_encoder.m.q.lora_linear_layer.up.weight"
      ),
      (
        "text_encoder_2.text_model.m.q.lora_A.weight", "text_encoder_2.text_model.m.q.lora_B.weight"
      ),
      ("lora_unet_m_q.lora_down.weight", "lora_unet_m_q.lora_up.weight"),
      ("lora_te2_m_q.lora_down.weight", "lora_te2_m_q.lora_up.weight"),
    ])
  func forms(down: String, up: String) throws {
    let base = StateDict(["m.q.weight": try tensor([3, 2]), "m.q.bias": try tensor([3])])
    let adapter = [(down, try tensor([1, 2], 10)), (up, try tensor([3, 1]))]
    let result = try LowRank.merged(adapter, "{}", into: base, scale: 1)
    #expect(try result.stateDict["m.q.weight"]?.floats() == [11, 13, 23, 26, 35, 39])
    #expect(result.merged == ["m.q.weight"])
  }

  @Test(
    "Attention processors' keys mean the projections",
    arguments: [
      ("unet.a.attn1.processor.to_q_lora", "a.attn1.to_q"),
      ("unet.a.attn1.processor.to_out_lora", "a.attn1.to_out.0"),
      ("text_encoder.a.self_attn.to_v_lora", "a.self_attn.v_proj"),
      ("text_encoder.a.self_attn.to_out_lora", "a.self_attn.out_proj"),
    ])
  func processors(written: String, module: String) throws {
    let base = StateDict(["\(module).weight": try tensor([3, 2])])
    let adapter = [
      ("\(written).down.weight", try tensor([1, 2], 10)),
      ("\(written).up.weight", try tensor([3, 1])),
    ]
    let result = try LowRank.merged(adapter, "{}", into: base, scale: 1)
    #expect(try result.stateDict["\(module).weight"]?.floats() == [11, 13, 23, 26, 35, 39])
  }

  @Test("The text encoders of a pipeline in one file are told apart")
  func encoders() throws {
    let first = "conditioner.embedders.0.transformer.text_model.q.weight"
    let second = "conditioner.embedders.1.model.text_model.q.weight"
    let base = StateDict([first: try tensor([2, 2]), second: try tensor([2, 2])])
    let result = try LowRank.merged(
      try LowRank.ones("lora_te2_text_model_q", rows: 2, columns: 2), into: base)
    #expect(result.merged == [second])
    let alone = StateDict([first: try tensor([2, 2])])
    #expect(
      try LowRank.problems(
        try LowRank.ones("lora_te2_text_model_q", rows: 2, columns: 2), into: alone
      ).contains("lora_te2_text_model_q: is no module of the base"))
  }

  @Test("Two modules that mean one weight are an error, two names of one tensor are summed up")
  func twice() throws {
    let pairs =
      try LowRank.ones("m.x", rows: 2, columns: 2) + LowRank.ones("x", rows: 2, columns: 2)
    let base = StateDict(["m.x.weight": try tensor([2, 2])])
    #expect(try LowRank.problems(pairs, into: base).contains("x: means m.x.weight, as m.x does"))
    let shared = try tensor([2, 2])
    let tied = StateDict(["embed.weight": shared, "head.weight": shared])
    let one = try LowRank.merged(try LowRank.ones("embed", rows: 2, columns: 2), into: tied)
    #expect(one.merged == ["embed.weight", "head.weight"])
    #expect(one.brokenTies.isEmpty)
    #expect(try one.stateDict["head.weight"]?.floats() == [2, 3, 4, 5])
    let both = try LowRank.merged(
      try LowRank.ones("embed", rows: 2, columns: 2) + LowRank.ones("head", rows: 2, columns: 2),
      into: tied)
    for key in ["embed.weight", "head.weight"] {
      #expect(try both.stateDict[key]?.floats() == [3, 4, 5, 6])
    }
  }

  @Test("Whole weights take the place of the base's before products are added")
  func whole() throws {
    let shared = try tensor([3, 2])
    let base = StateDict([
      "embed.weight": shared, "head.weight": shared, "q.weight": try tensor([2, 2]),
      "q.bias": try tensor([2]), "score.weight": try tensor([2, 2]),
    ])
    let adapter = [
      ("base_model.model.embed.base_layer.weight", try tensor([3, 2], 10)),
      ("base_model.model.embed.lora_embedding_A", try tensor([1, 3])),
      ("base_model.model.embed.lora_embedding_B", try tensor([2, 1])),
      ("base_model.model.q.base_layer.bias", try tensor([2], 7)),
      ("base_model.model.score.original_module.weight", try tensor([2, 2], 90)),
      ("base_model.model.score.modules_to_save.default.weight", try tensor([2, 2], 30)),
    ]
    let result = try LowRank.merged(adapter, into: base)
    // 10 to 15, and [1, 2, 3] times [1, 2].
    for key in ["embed.weight", "head.weight"] {
      #expect(try result.stateDict[key]?.floats() == [11, 13, 14, 17, 17, 21], "\(key)")
    }
    #expect(try result.stateDict["q.bias"]?.floats() == [7, 8])
    #expect(try result.stateDict["score.weight"]?.floats() == [30, 31, 32, 33])
    #expect(try result.stateDict["q.weight"]?.floats() == [1, 2, 3, 4])
    #expect(
      try LowRank.problems(
        [("score.original_module.weight", try tensor([2, 2]))], into: base
      ).contains("score.weight"))
    // A copy of a tied module is a module of its own.
    let untied = try LowRank.merged([("head.weight", try tensor([3, 2], 20))], into: base)
    #expect(untied.brokenTies == [["embed.weight", "head.weight"]])
    #expect(try untied.stateDict["embed.weight"]?.floats() == [1, 2, 3, 4, 5, 6])
  }

  @Test("A bias of the adapter's own is added to the base's")
  func bias() throws {
    let base = StateDict(["q.weight": try tensor([2, 2]), "q.bias": try tensor([2])])
    var adapter = try LowRank.ones("q", rows: 2, columns: 2)
    adapter.append(("q.lora_B.bias", try tensor([2], 10)))
    let json = #"{"lora_alpha": 3, "r": 1, "lora_bias": true}"#
    let result = try LowRank.merged(adapter, json, into: base)
    #expect(try result.stateDict["q.bias"]?.floats() == [31, 35])
    #expect(try result.stateDict["q.weight"]?.floats() == [4, 5, 6, 7])
    #expect(
      try LowRank.problems(adapter, #"{"lora_alpha": 3, "lora_bias": false}"#, into: base)
        .contains("lora_bias"))
    let none = StateDict(["q.weight": try tensor([2, 2])])
    #expect(try LowRank.problems(adapter, json, into: none).contains("lora_bias"))
  }
}
