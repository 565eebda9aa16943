import CkptPatterns
import CkptIO
import Foundation
import CkptPlatform
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Values of another shape are made to fit")
struct ResizingTests {
  private static let rules: [String: String] =
    (try? Fixtures.decode([String: String].self, from: "resizing/rules.json")) ?? [:]

  private func read(_ name: String) throws -> StateDict {
    try Checkpoint(contentsOf: Fixtures.path("resizing/\(name).pt")).stateDict(at: "/")
  }

  private func numbers(_ tensor: Tensor) throws -> [Float] {
    try tensor.converting(to: .float32).floats()
  }

  @Test("timm's and PyTorch's code gives the same", arguments: Self.rules.keys.sorted())
  func oracle(key: String) throws {
    let mode = try #require(Self.rules[key])
    let (result, resized, unmatched) = try read("found").filter(include: "is:\(key)")
      .resized(toFit: read("base"), [ResizeRule("\(key)=\(mode)")])
    let (found, wanted) = (try #require(result[key]), try #require(try read("wanted")[key]))
    #expect(found.shape == wanted.shape && found.dtype == wanted.dtype)
    #expect(resized.map(\.key) == [key] && unmatched.isEmpty)
    if key.hasPrefix("rows_") || key == "conv_2" || key == "conv_4" || key == "conv_7" {
      #expect(try found.contiguousBytes() == wanted.contiguousBytes())
    } else {
      // Sums in another order; of 16-bit types the last bit may differ.
      let limit: Float =
        switch wanted.dtype {
        case .float16: 1e-3
        case .bfloat16: 8e-3
        default: 2e-6
        }
      for (a, b) in zip(try numbers(found), try numbers(wanted)) {
        #expect(abs(a - b) <= limit * max(1, abs(b)))
      }
    }
  }

  @Test("All cases are there")
  func count() { #expect(Self.rules.count >= 20) }

  @Test("Fresh layers have the values that PyTorch gives them after manual_seed, bit for bit")
  func fresh() throws {
    let base = try read("layers")
    let rules = try ["under:conv=reinit", "under:fc=reinit", "under:norm=reinit"].map {
      try ResizeRule($0)
    }
    let (result, resized, _) = try StateDict().resized(toFit: base, rules, seed: 1234)
    #expect(resized.count == base.count)
    for (key, tensor) in try read("layers_1234").tensors {
      #expect(try result[key]?.contiguousBytes() == tensor.contiguousBytes(), "\(key)")
    }
    let other = try StateDict().resized(toFit: base, rules, seed: 5).result
    #expect(try other["fc.weight"]?.contiguousBytes() != result["fc.weight"]?.contiguousBytes())
  }

  @Test("Update takes what fits, what was made to fit, and what is fresh")
  func update() throws {
    var base = StateDict()
    base["fc.weight"] = try Tensor([Float](repeating: 0, count: 6), shape: [2, 3])
    base["fc.bias"] = try Tensor([Float](repeating: 0, count: 2), shape: [2])
    base["embed"] = try Tensor([1, 2, 3] as [Float], shape: [3, 1])
    var other = StateDict()
    other["fc.weight"] = try Tensor([Float](repeating: 9, count: 12), shape: [4, 3])
    other["fc.bias"] = try Tensor([Float](repeating: 9, count: 4), shape: [4])
    other["embed"] = try Tensor([7, 8] as [Float], shape: [2, 1])
    #expect(
      message(of: StateDictError.self) { try base.update(with: other) }
        == "other shapes: fc.weight ([4, 3] for [2, 3]), fc.bias ([4] for [2]), embed ([2, 1] for [3, 1])"
    )
    let report = try base.update(
      with: other,
      resizing: [ResizeRule("under:fc=reinit"), ResizeRule("embed=pad"), ResizeRule("x=pad")])
    #expect(report.resized.map(\.key) == ["fc.weight", "fc.bias", "embed"])
    #expect(report.unmatched.map(\.rule) == [.resize(try ResizeRule("x=pad"))])
    #expect(try base["embed"]?.converting(to: .float32).floats() == [7, 8, 3])
    let weights = try #require(try base["fc.weight"]?.converting(to: .float32).floats())
    #expect(weights.allSatisfy { abs($0) <= 1 / Float(3).squareRoot() } && Set(weights).count > 1)
  }

  @Test("Padding reads no more than it is asked for, wherever it begins")
  func parts() throws {
    var base = StateDict()
    base["e"] = try Tensor((0..<40).map(Float.init), shape: [10, 4])
    var other = StateDict()
    other["e"] = try Tensor((100..<112).map(Float.init), shape: [3, 4])
    let padded = try #require(try other.resized(toFit: base, [ResizeRule("e=pad")]).result["e"])
    let whole = try padded.contiguousBytes()
    for start in stride(from: 0, to: 160, by: 7) {
      #expect(try padded.storage.bytes(in: start..<160) == Array(whole[start...]))
    }
  }

  @Test(
    "A rule that cannot be understood is told with its place",
    arguments: [
      ("a", 1), ("a=b", 2), ("a=pad,x", 6), ("a=bicubic,prefix=x", 10), ("a=bicubic,from=3", 10),
      ("a=bicubic,from=0x3", 10), ("a=", 2), ("re:(=pad", 3),
    ])
  func badRules(written: String, position: Int) {
    let error = #expect(throws: PatternError.self) { try ResizeRule(written) }
    #expect(error?.kind == .usage && error?.excerpt?.position == position)
  }

  @Test("Keys with signs and commas are whole keys")
  func keys() throws {
    #expect(try ResizeRule("a=b,c=pad").keys.text == "a=b,c")
    #expect(
      try ResizeRule("glob:{a,b}=bicubic,prefix=2").mode == .bicubic(prefix: 2, from: nil, to: nil))
  }

  @Test("What cannot be made to fit is refused, whatever the shapes")
  func refused() throws {
    let shapes: [([Int], [Int], String)] = [
      ([4, 3], [3, 4], "pad"), ([4, 3], [2, 3], "pad"), ([2, 3], [4, 3], "crop"), ([], [3], "pad"),
      ([1, 10, 4], [1, 17, 5], "bicubic"), ([1, 12, 4], [1, 20, 4], "bicubic"),
      ([1, 0, 4], [1, 4, 4], "bicubic"),
      ([2, 10, 4], [2, 17, 4], "bicubic"), ([1, 10, 0], [1, 17, 0], "bicubic"),
      ([3], [4], "bicubic"),
      ([4, 3, 2, 2], [4, 3, 2, 3], "channels"), ([4, 5, 2, 2], [4, 3, 2, 2], "channels"),
      ([0, 3, 2, 2], [0, 1, 2, 2], "channels"), ([4, 3], [4, 1], "channels"), ([2], [0], "reinit"),
    ]
    for (own, wanted, mode) in shapes {
      var (base, other) = (StateDict(), StateDict())
      base["x"] = try Tensor([Float](repeating: 0, count: wanted.reduce(1, *)), shape: wanted)
      other["x"] = try Tensor([Float](repeating: 0, count: own.reduce(1, *)), shape: own)
      #expect(throws: ResizeError.self, "\(own) \(wanted) \(mode)") {
        try other.resized(toFit: base, [ResizeRule("x=\(mode)")])
      }
    }
  }

  @Test("A tensor that claims more elements than there is memory is refused")
  func huge() throws {
    let one = Storage(bytes: [0, 0, 0, 0])
    for (mode, shape) in [
      ("bicubic", [1, 1 << 40, 4]), ("channels", [4, 1 << 40, 2, 2]), ("reinit", [1 << 40, 3]),
    ] {
      var (base, other) = (StateDict(), StateDict())
      base["fc.weight"] = try Tensor(
        storage: one, dtype: .float32, shape: shape, strides: shape.map { _ in 0 })
      other["fc.weight"] = try Tensor(
        [Float](repeating: 0, count: 48), shape: shape.count == 4 ? [4, 3, 2, 2] : [1, 12, 4])
      #expect(throws: ResizeError.self) {
        try other.resized(toFit: base, [ResizeRule("fc.weight=\(mode)")])
      }
    }
  }
}
