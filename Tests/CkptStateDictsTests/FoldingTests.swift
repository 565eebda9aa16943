import Foundation
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Folding weights that are computed from several keys")
struct FoldingTests {
  private var random = SeededRandom(7)

  private mutating func numbers(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
  }

  /// The index along `dimension` of each element of a shape.
  private func rows(_ shape: [Int], _ dimension: Int) -> [Int] {
    let inner = shape[(dimension + 1)...].reduce(1, *)
    return (0..<shape.reduce(1, *)).map { $0 / inner % shape[dimension] }
  }

  @Test("Weight norm along any dimension, in any place of the tensor")
  mutating func weightNorm() throws {
    let shape = [7, 90, 11]
    for dimension in [0, 1, 2] {
      let v = numbers(shape.reduce(1, *))
      let g = numbers(shape[dimension])
      var gShape = [1, 1, 1]
      gShape[dimension] = shape[dimension]
      var stateDict = StateDict()
      stateDict["bias"] = try Tensor(numbers(7), shape: [7])
      stateDict["weight_g"] = try Tensor(g, shape: gShape)
      stateDict["weight_v"] = try Tensor(v, shape: shape)
      let (result, report) = try stateDict.folding()
      #expect(result.keys == ["bias", "weight"] && report.folded.map(\.key) == ["weight"])
      let rows = rows(shape, dimension)
      var squares = [Double](repeating: 0, count: g.count)
      for (row, value) in zip(rows, v) { squares[row] += Double(value) * Double(value) }
      let wanted = zip(rows, v).map { Double(g[$0]) / squares[$0].squareRoot() * Double($1) }
      let tensor = try #require(result["weight"])
      let found = try tensor.floats()
      for (one, other) in zip(found, wanted) { #expect(abs(Double(one) - other) < 1e-6) }
      // From any byte on; whoever reads last finds the lengths again.
      let bytes = try tensor.contiguousBytes()
      for start in [1, 16_385, 27_001] {
        let range = start..<bytes.count
        #expect(try tensor.storage.bytes(in: range) == Array(bytes[range]))
      }
    }
  }

  @Test("A spectral norm's dimension is found by the vectors where the shape leaves it open")
  mutating func spectralDimension() throws {
    let side = 6
    for dimension in [0, 1] {
      let weight = numbers(side * side)
      let at = { (row: Int, column: Int) in
        Double(dimension == 0 ? weight[row * side + column] : weight[column * side + row])
      }
      // Some steps of the power method.
      var (u, v) = ([Double](repeating: 1, count: side), [Double](repeating: 0, count: side))
      let unit = { (x: [Double]) in x.map { $0 / x.reduce(0) { $0 + $1 * $1 }.squareRoot() } }
      for _ in 0..<3 {
        v = unit((0..<side).map { column in (0..<side).reduce(0) { $0 + at($1, column) * u[$1] } })
        u = unit((0..<side).map { row in (0..<side).reduce(0) { $0 + at(row, $1) * v[$1] } })
      }
      let sigma = (0..<side).reduce(0) { sum, row in
        sum + u[row] * (0..<side).reduce(0) { $0 + at(row, $1) * v[$1] }
      }
      var stateDict = StateDict()
      stateDict["weight_orig"] = try Tensor(weight, shape: [side, side])
      stateDict["weight_u"] = try Tensor(u.map { Float($0) }, shape: [side])
      stateDict["weight_v"] = try Tensor(v.map { Float($0) }, shape: [side])
      let found = try #require(try stateDict.folding().stateDict["weight"]?.floats())
      for (one, other) in zip(found, weight) {
        #expect(abs(Double(one) - Double(other) / sigma) < 1e-5)
      }
      // Vectors that belong to another weight decide nothing.
      stateDict["weight_u"] = try Tensor(numbers(side), shape: [side])
      stateDict["weight_v"] = try Tensor(numbers(side), shape: [side])
      #expect(throws: DerivedWeightError.self) { try stateDict.folding() }
    }
  }

  @Test("A mask is applied exactly; -0, infinities and NaN come out as products")
  mutating func pruning() throws {
    var values = numbers(5000)
    values.replaceSubrange(0..<3, with: [-2, .infinity, .nan])
    let mask = (0..<5000).map { Float($0 % 3 == 1 ? 1 : 0) }
    for type in [DType.float32, .float16, .bfloat16, .float64] {
      let original = try Tensor(values, shape: [50, 100]).converting(to: type)
      var stateDict = StateDict()
      stateDict["weight_orig"] = original
      stateDict["weight_mask"] = try Tensor(mask, shape: [50, 100]).converting(to: .bool)
      let found = try #require(try stateDict.folding().stateDict["weight"])
      #expect(found.dtype == type)
      let numbers = try original.converting(to: .float32).floats()
      let products = try found.converting(to: .float32).floats()
      for (index, (value, product)) in zip(numbers, products).enumerated() where index != 2 {
        let wanted = value * mask[index]
        #expect(wanted.isNaN ? product.isNaN : product.bitPattern == wanted.bitPattern)
      }
      #expect(products[0].sign == .minus && products[0] == 0 && products[1] == .infinity)
    }
  }

  @Test("Tied weights stay tied, others stay others; what is not chosen stays in parts")
  func tiesAndChoice() throws {
    let g = try Tensor([2, 3] as [Float], shape: [2, 1])
    let v = try Tensor([3, 4, 0, 1] as [Float], shape: [2, 2])
    var stateDict = StateDict()
    for module in ["a", "b"] {
      stateDict["\(module).weight_g"] = g
      stateDict["\(module).weight_v"] = v
    }
    stateDict["c.weight_g"] = try Tensor([1, 1] as [Float], shape: [2, 1])
    stateDict["c.weight_v"] = v
    let (all, _) = try stateDict.folding()
    #expect(all.ties == [["a.weight", "b.weight"]])
    #expect(try all["a.weight"]?.floats() == [1.2, 1.6, 0, 3].map { Float($0) })
    let (some, report) = try stateDict.folding { key, _ in key == "a.weight" }
    #expect(
      some.keys == [
        "a.weight", "b.weight_g", "b.weight_v", "c.weight_g", "c.weight_v",
      ])
    #expect(report.left.map(\.key) == ["b.weight", "c.weight"])
  }

  @Test("Forms that lie in one another are undone in turn")
  func nested() throws {
    var stateDict = StateDict()
    stateDict["weight_g"] = try Tensor([2] as [Float], shape: [1, 1])
    stateDict["weight_v_orig"] = try Tensor([3, 7, 4] as [Float], shape: [1, 3])
    stateDict["weight_v_mask"] = try Tensor([1, 0, 1] as [Float], shape: [1, 3])
    let (result, report) = try stateDict.folding()
    #expect(result.keys == ["weight"])
    #expect(try result["weight"]?.floats() == [1.2, 0, 1.6].map { Float($0) })
    #expect(report.folded.count == 1)
    #expect(Set(report.folded.first?.parts ?? []) == Set(stateDict.keys))
  }

  @Test(
    "What cannot be computed is refused by name, and left alone where it is left out",
    arguments: WeightsInParts.unknown)
  func refused(form: WeightsInParts.Form) throws {
    let parts = try stateDict(form.tensors)
    let error = #expect(throws: DerivedWeightError.self) { try parts.folding() }
    #expect(error?.description.contains("m.weight") == true)
    #expect(try parts.folding { key, _ in key != "m.weight" }.stateDict.keys == parts.keys)
  }

  @Test("Tensors that claim more elements than the file has, or have none, are refused")
  func hostile() throws {
    var stateDict = StateDict()
    let one = Storage(bytes: [0, 0, 128, 63])
    stateDict["weight_orig"] = try Tensor(
      storage: one, dtype: .float32, shape: [1 << 20, 1 << 20], strides: [0, 0])
    stateDict["weight_mask"] = stateDict["weight_orig"]
    #expect(
      message(of: DerivedWeightError.self) { try stateDict.folding() }
        == "no plain weight can be computed: weight (pruning: weight_orig, weight_mask): a part is an expanded view"
    )
    stateDict["weight_orig"] = try Tensor(
      storage: one, dtype: .float32, shape: [4, 4], isMeta: true)
    stateDict["weight_mask"] = try Tensor([Float](repeating: 1, count: 16), shape: [4, 4])
    #expect(
      message(of: DerivedWeightError.self) { try stateDict.folding() }
        == "no plain weight can be computed: weight (pruning: weight_orig, weight_mask): a part is on the meta device"
    )
    // Without elements there is nothing to compute, and no division by nothing.
    stateDict = StateDict()
    stateDict["weight_g"] = try Tensor([] as [Float], shape: [0, 1])
    stateDict["weight_v"] = try Tensor([] as [Float], shape: [0, 3])
    #expect(try stateDict.folding().stateDict["weight"]?.shape == [0, 3])
  }
}
