import CkptPatterns
import CkptBytes
import CkptPlatform
import StateDictKit
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@testable import CkptMerging

@Suite("Merging state dicts")
struct MergeTests {
  /// State dicts of random numbers; several blocks of elements in `w`.
  static func models(
    _ count: Int, _ type: DType = .float32, seed: Int = 1
  ) throws -> [MergeInput] {
    var random = SeededRandom(seed)
    func numbers(_ count: Int, _ around: [Float]?) -> [Float] {
      (0..<count).map {
        (around?[$0] ?? 0)
          + (Float.random(in: -1...1, using: &random) * (around == nil ? 1 : 0.125))
      }
    }
    let shapes: KeyValuePairs = ["w": [90, 150], "b": [77]]
    let base = shapes.map { numbers($0.value.reduce(1, *), nil) }
    return try (0..<count).map { index in
      var stateDict = StateDict()
      for ((key, shape), center) in zip(shapes, base) {
        let values = index == 0 ? center : numbers(center.count, center)
        stateDict[key] = try Tensor(values, shape: shape).converting(to: type)
      }
      return MergeInput(name: "\(index).pt", stateDict: stateDict)
    }
  }

  static func merge(_ method: MergeMethod, _ inputs: [MergeInput]) -> StateDictMerge {
    let needsBase = method.baseUse == .required
    let count = method.inputCounts.upperBound
    var merge = StateDictMerge(
      method: method, inputs: Array(inputs.prefix(count)), base: needsBase ? 0 : nil)
    merge.settings = MergeSettings([
      .weight: MergeSetting(0.6), .density: MergeSetting(0.4), .t: MergeSetting(0.3),
      .epsilon: MergeSetting(0.2), .gamma: MergeSetting(0.1), .selectTopK: MergeSetting(0.5),
      .decay: MergeSetting(0.9), .scale: MergeSetting(1.5), .rescale: MergeSetting(1),
    ])
    return merge
  }

  @Test("The result is the same from any place on, in any pieces", arguments: MergeMethod.allCases)
  func anyPlace(method: MergeMethod) throws {
    let merge = Self.merge(method, try Self.models(4, .bfloat16))
    let whole = try #require(try merge.merged().stateDict["w"]).contiguousBytes()
    #expect(whole.count == 27_000)
    // A new plan, whose first reader starts in the middle.
    let tensor = try #require(try merge.merged().stateDict["w"])
    for start in [13_001, 0, 1, 8192, 26_998] {
      #expect(try tensor.storage.bytes(in: start..<27_000) == Array(whole[start...]))
    }
    let reader = try tensor.storage.source.makeReader(at: 0)
    var pieces: [UInt8] = []
    for count in [1, 2, 8189, 3, 10_001, 8804] {
      pieces += try [UInt8](byteCount: count) { try reader.read(into: &$0) }
    }
    #expect(pieces == whole)
  }

  @Test("The result does not depend on the number of threads", arguments: MergeMethod.allCases)
  func threads(method: MergeMethod) throws {
    let merge = Self.merge(method, try Self.models(4))
    let whole = try #require(try merge.merged().stateDict["w"]).contiguousBytes()
    let tensor = try #require(try merge.merged().stateDict["w"])
    let parts = 16
    let size = whole.count / parts
    try Parallel.forEach(of: Array(0..<parts), workers: parts) { part in
      let range = part * size..<(part == parts - 1 ? whole.count : (part + 1) * size)
      let bytes = try tensor.storage.bytes(in: range)
      #expect(bytes == Array(whole[range]))
    }
  }

  @Test("Chance keeps as many as the density says, the same with the same seed")
  func random() throws {
    var merge = Self.merge(.dareLinear, try Self.models(2))
    merge.settings = MergeSettings([
      .weight: MergeSetting(1), .density: MergeSetting(0.3), .rescale: MergeSetting(0),
    ])
    func changed(_ merge: StateDictMerge) throws -> [Bool] {
      let result = try #require(try merge.merged().stateDict["w"]?.floats())
      let base = try #require(try merge.inputs[0].stateDict["w"]?.floats())
      let other = try #require(try merge.inputs[1].stateDict["w"]?.floats())
      return zip(zip(result, base), other).map { pair, other in
        // Either the base's number or the other's, exactly but for rounding.
        #expect(pair.0 == pair.1 || abs(pair.0 - other) <= other.ulp)
        return pair.0 != pair.1
      }
    }
    let first = try changed(merge)
    let share = Double(first.count(where: \.self)) / Double(first.count)
    // Four standard deviations of 13,500 draws.
    #expect(abs(share - 0.3) < 0.016)
    #expect(try changed(merge) == first)
    merge.seed = 1
    let second = try changed(merge)
    let both = zip(first, second).count { $0 && $1 }
    #expect(abs(Double(both) / Double(first.count) - 0.09) < 0.01)
  }

  @Test("Larger elements are likelier kept by DELLA, between the density less and plus epsilon")
  func ranked() throws {
    var merge = Self.merge(.dellaLinear, try Self.models(2))
    merge.settings = MergeSettings([
      .weight: MergeSetting(1), .density: MergeSetting(0.5), .epsilon: MergeSetting(0.4),
      .rescale: MergeSetting(0),
    ])
    let result = try #require(try merge.merged().stateDict["w"]?.floats())
    let base = try #require(try merge.inputs[0].stateDict["w"]?.floats())
    let other = try #require(try merge.inputs[1].stateDict["w"]?.floats())
    var kept = [0, 0, 0]
    for row in 0..<90 {
      let positions = (row * 150..<row * 150 + 150).sorted {
        abs(other[$0] - base[$0]) < abs(other[$1] - base[$1])
      }
      for (rank, position) in positions.enumerated() where result[position] != base[position] {
        kept[rank / 50] += 1
      }
    }
    // The thirds' mean probabilities are 0.233, 0.5 and 0.767; 4500 draws each.
    for (count, expected) in zip(kept, [0.233, 0.5, 0.767]) {
      #expect(abs(Double(count) / 4500 - expected) < 0.03)
    }
  }

  @Test("Rescaling keeps the sum of magnitudes")
  func rescaled() throws {
    var merge = Self.merge(.dareLinear, try Self.models(2))
    merge.settings = MergeSettings([.weight: MergeSetting(1), .density: MergeSetting(0.2)])
    let result = try #require(try merge.merged().stateDict["w"]?.floats())
    let base = try #require(try merge.inputs[0].stateDict["w"]?.floats())
    let other = try #require(try merge.inputs[1].stateDict["w"]?.floats())
    let before = zip(other, base).reduce(0) { $0 + Double(abs($1.0 - $1.1)) }
    let after = zip(result, base).reduce(0) { $0 + Double(abs($1.0 - $1.1)) }
    #expect(abs(after / before - 1) < 1e-6)
  }

  @Test("As many elements are kept as the density says, however many are equal")
  func ties() throws {
    var stateDict = StateDict()
    stateDict["w"] = try Tensor([Float](repeating: 0, count: 20_000), shape: [20_000])
    let base = MergeInput(name: "base", stateDict: stateDict)
    let values = (0..<20_000).map { Float($0 % 4 + 1) }
    stateDict["w"] = try Tensor(values, shape: [20_000])
    var merge = StateDictMerge(
      method: .ties, inputs: [base, MergeInput(name: "other", stateDict: stateDict)], base: 0)
    merge.settings = MergeSettings([.weight: MergeSetting(1), .density: MergeSetting(0.4)])
    let result = try #require(try merge.merged().stateDict["w"]?.floats())
    // 5000 fours and the first 3000 threes.
    #expect(result.count { $0 == 4 } == 5000)
    #expect(result.count { $0 == 3 } == 3000)
    #expect(result[12_000...].allSatisfy { $0 == 0 || $0 == 4 })
    merge.method = .breadcrumbs
    merge.settings[.gamma] = MergeSetting(0.125)
    let middle = try #require(try merge.merged().stateDict["w"]?.floats())
    // From rank 9500 to 17,500: the last 500 twos, all threes, the first 2500 fours.
    #expect(middle.count { $0 == 2 } == 500)
    #expect(middle.count { $0 == 3 } == 5000)
    #expect(middle.count { $0 == 4 } == 2500)
  }

  @Test("Running averages")
  func averages() throws {
    let inputs = try [1, 2, 6].map { (value: Float) in
      MergeInput(name: "\(value)", stateDict: StateDict(["w": try Tensor([value], shape: [1])]))
    }
    var merge = StateDictMerge(method: .swa, inputs: inputs)
    #expect(try merge.merged().stateDict["w"]?.floats() == [3])
    merge.method = .ema
    merge.settings[.decay] = MergeSetting(0.5)
    #expect(try merge.merged().stateDict["w"]?.floats() == [3.75])
    merge.settings[.decay] = MergeSetting(1.5)
    #expect(
      message(of: MergeError.self) { try merge.merged() }
        == "decay is 1.5, not from 0.0 to 1.0 (w)")
  }

  @Test("Values count by key pattern, and go over the layers")
  func settings() throws {
    func stateDict(_ value: Float) throws -> StateDict {
      var result = StateDict()
      for key in [
        "embed.w", "layers.0.attn.w", "layers.1.attn.w", "layers.2.mlp.w", "layers.3.mlp.w",
      ] {
        result[key] = try Tensor([value], shape: [1])
      }
      return result
    }
    var merge = StateDictMerge(
      method: .nearswap,
      inputs: [
        MergeInput(name: "a", stateDict: try stateDict(0)),
        MergeInput(name: "b", stateDict: try stateDict(1)),
      ], base: 0)
    merge.method = .linear
    merge.inputs[0].settings[.weight] = MergeSetting(0)
    merge.settings[.normalize] = MergeSetting(0)
    merge.settings[.weight] = MergeSetting([
      .init(pattern: try KeyPattern("mlp"), values: [0, 1, 4]), .init(values: [3]),
    ])
    let result = try merge.merged().stateDict
    let values = try result.tensors.map { try $0.tensor.floats().first ?? .nan }
    #expect(values[..<3] == [3, 3, 3])
    #expect(abs(values[3] - 2) < 1e-6)
    #expect(values[4] == 4)
    merge.layers = "embed"
    #expect(
      message(of: MergeError.self) { try merge.merged() }
        == "layers names no module with numbered layers: embed")
  }

  @Test("All that does not fit is told at once, and nothing is read")
  func mismatches() throws {
    var base = StateDict()
    for key in ["a", "b", "c"] { base[key] = try Tensor([0, 1] as [Float], shape: [2]) }
    base["steps"] = try Tensor([7] as [Int64], shape: [])
    var other = base
    other["a"] = nil
    other["b"] = try Tensor([1] as [Float], shape: [1])
    other["c"] = try Tensor([1, 2] as [Double], shape: [2])
    other["d"] = try Tensor([1] as [Float], shape: [1])
    var merge = StateDictMerge(
      method: .linear,
      inputs: [
        MergeInput(name: "x.pt", stateDict: base), MergeInput(name: "y.pt", stateDict: other),
      ])
    merge.settings[.weight] = MergeSetting(1)
    #expect(
      throws: MergeError.cannotMerge([
        .unexpected(key: "d", input: "y.pt"), .missing(key: "a", input: "y.pt"),
        .shape(key: "b", input: "y.pt", expected: [2], found: [1]),
        .dtype(key: "c", input: "y.pt", expected: "float32", found: "float64"),
      ])
    ) { try merge.merged() }
    merge.selection = try KeySelection(exclude: [KeyPattern("re:^[abd]$")])
    merge.dtype = .float16
    let result = try merge.merged()
    #expect(result.merged == ["c"])
    #expect(result.copied == ["steps"])
    #expect(result.stateDict["c"]?.dtype == .float16)
    #expect(try result.stateDict["c"]?.converting(to: .float32).floats() == [0.5, 1.5])
    #expect(result.stateDict["a"]?.storage === base["a"]?.storage)
  }

  @Test("NaN is told with all its places, unless it is to be kept")
  func notNumbers() throws {
    var inputs = try Self.models(3)
    for index in [1, 2] {
      var stateDict = inputs[index].stateDict
      stateDict["b"] = try Tensor(
        (0..<77).map { Float($0 % 10 == index ? Float.nan : 1) }, shape: [77])
      inputs[index] = MergeInput(name: inputs[index].name, stateDict: stateDict)
    }
    var merge = Self.merge(.linear, inputs)
    let result = try merge.merged().stateDict
    _ = try result["w"]?.contiguousBytes()
    #expect(
      throws: MergeError.notNumbers([
        .init(key: "b", input: "1.pt", count: 8), .init(key: "b", input: "2.pt", count: 8),
      ])
    ) { try result["b"]?.contiguousBytes() }
    merge.keepsNaN = true
    let kept = try #require(try merge.merged().stateDict["b"]?.floats())
    #expect(kept.count(where: \.isNaN) == 16)
  }

  @Test("Tied tensors stay tied; what is untied by the others is told")
  func tied() throws {
    let shared = try Tensor([1, 2] as [Float], shape: [2])
    let apart = try Tensor([1, 2] as [Float], shape: [2])
    let tied = StateDict(["embed": shared, "head": shared])
    let untied = StateDict(["embed": shared, "head": apart])
    var merge = StateDictMerge(
      method: .swa,
      inputs: [MergeInput(name: "a", stateDict: tied), MergeInput(name: "b", stateDict: tied)])
    let first = try merge.merged()
    #expect(first.stateDict["embed"]?.storage === first.stateDict["head"]?.storage)
    #expect(first.brokenTies.isEmpty)
    merge.inputs[1] = MergeInput(name: "b", stateDict: untied)
    #expect(try merge.merged().brokenTies == [["embed", "head"]])
  }

  @Test("Wrong numbers of inputs and missing parameters are errors")
  func wrongInputs() throws {
    let inputs = try Self.models(3)
    func problem(_ method: MergeMethod, _ count: Int, base: Int?) -> String? {
      var merge = Self.merge(method, inputs)
      merge.inputs = Array(inputs.prefix(count))
      merge.base = base
      return message(of: MergeError.self) { try merge.merged() }
    }
    #expect(problem(.slerp, 3, base: 0) == "slerp takes 2 inputs, not 3")
    #expect(problem(.slerp, 2, base: nil) == "slerp needs a base")
    #expect(problem(.ties, 2, base: nil) == "ties needs a base")
    #expect(problem(.modelStock, 2, base: 0) == "model-stock takes at least 3 inputs, not 2")
    #expect(problem(.passthrough, 2, base: nil) == "passthrough takes 1 inputs, not 2")
    #expect(problem(.nuslerp, 2, base: 0) == "nuslerp takes 2 inputs, not 1")
    #expect(problem(.linear, 0, base: nil) == "linear needs inputs")
    for method in MergeMethod.allCases {
      var merge = Self.merge(method, inputs)
      merge.settings = MergeSettings()
      let optional: [MergeMethod] = [
        .swa, .sce, .modelStock, .arceeFusion, .passthrough, .karcher,
      ]
      if optional.contains(method) {
        #expect(throws: Never.self) { try merge.merged() }
      } else {
        #expect(throws: MergeError.self) { try merge.merged() }
      }
    }
    var della = Self.merge(.della, inputs)
    della.settings[.density] = MergeSetting(0.1)
    #expect(
      message(of: MergeError.self) { try della.merged() }
        == "epsilon 0.2 with a density of 0.1 leaves the range from 0 to 1 (w)")
    var linear = Self.merge(.linear, inputs)
    linear.settings[.weight] = MergeSetting(.nan)
    #expect(
      message(of: MergeError.self) { try linear.merged() }
        == "weight is not finite (w)")
    linear.settings[.weight] = MergeSetting(0)
    #expect(
      message(of: MergeError.self) { try linear.merged() }
        == "weight sums up to 0, so it cannot be normalized (w)")
  }

  @Test(
    "Values beyond all reason neither crash nor change what is kept", arguments: [-1e300, 1e300])
  func unreasonable(value: Double) throws {
    let inputs = try Self.models(2)
    for method in [MergeMethod.ties, .breadcrumbs, .dareLinear, .dellaLinear] {
      var merge = Self.merge(method, inputs)
      merge.settings[.density] = MergeSetting(value)
      merge.settings[.gamma] = MergeSetting(value)
      let result = try #require(try merge.merged().stateDict["w"]?.floats())
      let base = try #require(try inputs[0].stateDict["w"]?.floats())
      #expect((result == base) == (value < 0))
    }
    var merge = Self.merge(.breadcrumbs, inputs)
    merge.settings[.gamma] = MergeSetting(value)
    #expect(try merge.merged().stateDict["w"]?.floats().count == 13_500)
  }

  @Test("A row that is too long to be ranked is an error, not a heap of memory")
  func longRow() throws {
    let zeros = Storage(.computed(Zeros(byteCount: 4 << 20)))
    let tensor = try Tensor(storage: zeros, dtype: .float32, shape: [1 << 20])
    let inputs = ["a", "b"].map { MergeInput(name: $0, stateDict: StateDict(["w": tensor])) }
    for method in [MergeMethod.della, .arceeFusion] {
      let merged = try Self.merge(method, inputs).merged().stateDict
      #expect(throws: MergeError.rowTooLong(1 << 20, limit: 1 << 19)) {
        try merged["w"]?.contiguousBytes()
      }
    }
  }

  @Test("An input that ends early is an error at reading")
  func damaged() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([UInt8](repeating: 0, count: 1000), to: "short")
    let file = try File(readingFrom: path)
    let region = FileRegion(file: file, offset: 0, byteCount: 4000, name: "w")
    let tensor = try Tensor(
      storage: Storage(.region(region)), dtype: .float32, shape: [1000])
    let inputs = ["a", "b"].map { MergeInput(name: $0, stateDict: StateDict(["w": tensor])) }
    for method in [MergeMethod.linear, .ties] {
      let merged = try Self.merge(method, inputs).merged().stateDict
      #expect(throws: FileError.self) { try merged["w"]?.contiguousBytes() }
    }
  }

  @Test("Layers are found where most keys are")
  func layers() throws {
    let keys =
      ["embed.weight", "0.x"]
      + (0..<12).flatMap { ["model.layers.\($0).a", "model.layers.\($0).m.0.b"] }
    let numbering = try #require(LayerNumbering(keys: keys))
    #expect(numbering.prefix == "model.layers")
    #expect(numbering.count == 12)
    #expect(numbering.layer(of: "model.layers.11.m.0.b") == 11)
    #expect(numbering.layer(of: "model.layers.1x.b") == nil)
    #expect(numbering.key("model.layers.11.m.0.b", inLayer: 3) == "model.layers.3.m.0.b")
    #expect(LayerNumbering(keys: ["a.b", "c.0.d"]) == nil)
    #expect(LayerNumbering(prefix: "c", keys: ["a.b", "c.0.d"])?.count == 1)
  }
}

/// Zeros that take no memory.
struct Zeros: ComputedBytes {
  let byteCount: Int
  var isRandomAccess: Bool { true }
  func makeReader(at offset: Int) throws -> any ByteReader { Reader() }

  final class Reader: ByteReader {
    func read(into bytes: inout MutableRawSpan) { bytes.fill(with: 0) }
  }
}
