import Foundation
import StateDictKit
import CkptTestSupport
import Testing

@Suite("Adapters whose training took a part out of the base")
struct BaseChangeTests {
  /// Matrices of zeros, so that the base's change is all there is.
  private func zeros(rank: Int, rows: Int, columns: Int) throws -> [(String, Tensor)] {
    [
      (
        "w.lora_A.weight",
        try Tensor([Float](repeating: 0, count: rank * columns), shape: [rank, columns])
      ),
      (
        "w.lora_B.weight",
        try Tensor([Float](repeating: 0, count: rank * rows), shape: [rows, rank])
      ),
    ]
  }

  private func merged(_ weight: Tensor, _ kind: String, rank: Int, alpha: Int) throws -> [Float] {
    let found = min(rank, weight.shape[0], weight.shape[1])
    let result = try LowRank.merged(
      try zeros(rank: found, rows: weight.shape[0], columns: weight.shape[1]),
      #"{"lora_alpha": \#(alpha), "r": \#(rank), "init_lora_weights": "\#(kind)"}"#,
      into: StateDict(["w.weight": weight]))
    return try #require(try result.stateDict["w.weight"]?.floats())
  }

  /// Vector `index` of an orthonormal basis: the cosines of DCT-II.
  private func cosines(_ index: Int, _ length: Int) -> [Double] {
    let size = ((index == 0 ? 1.0 : 2.0) / Double(length)).squareRoot()
    return (0..<length).map {
      size * cos(Double.pi * (Double($0) + 0.5) * Double(index) / Double(length))
    }
  }

  /// The sum of σᵢ uᵢ vᵢᵀ, row by row.
  private func matrix(_ rows: Int, _ columns: Int, _ values: [Double], from first: Int = 0)
    -> [Double]
  {
    var result = [Double](repeating: 0, count: rows * columns)
    for index in first..<values.count {
      let (u, v) = (cosines(index, rows), cosines(index, columns))
      for row in 0..<rows {
        for column in 0..<columns {
          result[row * columns + column] += values[index] * u[row] * v[column]
        }
      }
    }
    return result
  }

  @Test(
    "pissa takes the largest singular values out, however many lie close behind",
    arguments: [(120, 200, 3), (200, 90, 5), (7, 9, 2), (9, 7, 7), (1, 5, 1), (30, 30, 40)])
  func principal(rows: Int, columns: Int, rank: Int) throws {
    let count = min(rows, columns)
    let values = (0..<count).map { 1 / (1 + 0.05 * Double($0)) }
    let weight = try Tensor(matrix(rows, columns, values).map(Float.init), shape: [rows, columns])
    let wanted = matrix(rows, columns, values, from: min(rank, count))
    let found = try merged(weight, "pissa", rank: rank, alpha: 13)
    for (a, b) in zip(found, wanted) { #expect(abs(Double(a) - b) < 1e-6) }
  }

  @Test("Equal singular values that all belong to the part are no trouble, others are")
  func equal() throws {
    let weight = try Tensor([2, 0, 0, 0, 2, 0, 0, 0, 1] as [Float], shape: [3, 3])
    #expect(
      try merged(weight, "pissa", rank: 2, alpha: 1).map { ($0 * 1e6).rounded() / 1e6 }
        == [0, 0, 0, 0, 0, 0, 0, 0, 1])
    let error = try #require(throws: MergeError.self) {
      try merged(weight, "pissa", rank: 1, alpha: 1)
    }
    #expect(error == .unclearChange(key: "w.weight"))
    let nothing = try Tensor([Float](repeating: 0, count: 9), shape: [3, 3])
    #expect(try merged(nothing, "pissa", rank: 2, alpha: 1) == [Float](repeating: 0, count: 9))
  }

  @Test("olora takes the first columns of Q times the first rows of R out, times the scale")
  func triangular() throws {
    let weight = try Tensor([3, 1, 4, 2] as [Float], shape: [2, 2])
    // Q's first column is [0.6, 0.8], R's first row [5, 2.2]; the scale is 1/2.
    let wanted: [Float] = [3 - 1.5, 1 - 0.66, 4 - 2, 2 - 0.88]
    let json = #"{"lora_alpha": 0.5, "r": 1, "init_lora_weights": "olora"}"#
    let result = try LowRank.merged(
      try zeros(rank: 1, rows: 2, columns: 2), json, into: StateDict(["w.weight": weight]))
    let found = try #require(try result.stateDict["w.weight"]?.floats())
    for (a, b) in zip(found, wanted) { #expect(abs(a - b) < 1e-6) }
    // All columns, scale 1: nothing is left, even where a column is zero.
    let deficient = try Tensor([0, 1, 2, 0, 3, 4, 0, 5, 6] as [Float], shape: [3, 3])
    #expect(try merged(deficient, "olora", rank: 3, alpha: 3).allSatisfy { abs($0) < 1e-6 })
  }

  @Test("A weight that the file holds whole is what was left, and nothing is taken out again")
  func replaced() throws {
    let weight = try Tensor([2, 0, 0, 1] as [Float], shape: [2, 2])
    var adapter = try zeros(rank: 1, rows: 2, columns: 2)
    adapter.append(("w.base_layer.weight", try Tensor([5, 6, 7, 8] as [Float], shape: [2, 2])))
    let result = try LowRank.merged(
      adapter, #"{"lora_alpha": 1, "init_lora_weights": "pissa"}"#,
      into: StateDict(["w.weight": weight]))
    #expect(try result.stateDict["w.weight"]?.floats() == [5, 6, 7, 8])
  }

  @Test(
    "Only a first adapter can take a part out of the base; other weights than linear ones cannot")
  func refused() throws {
    let base = StateDict(["w.weight": try Tensor([2, 0, 0, 1] as [Float], shape: [2, 2])])
    let pissa = LowRankAdapter(
      LowRank.stateDict(try zeros(rank: 1, rows: 2, columns: 2)), name: "p",
      configurations: try LowRank.configurations(
        #"{"lora_alpha": 1, "init_lora_weights": "pissa"}"#))
    let plain = LowRankAdapter(
      LowRank.stateDict(try LowRank.ones("w", rows: 2, columns: 2)), name: "a",
      configurations: try LowRank.configurations(#"{"lora_alpha": 1}"#))
    let merged = try LowRankAdapter.merge([pissa, plain], into: base, baseName: "b")
    let found = try #require(try merged.stateDict["w.weight"]?.floats())
    for (a, b) in zip(found, [1, 1, 1, 2] as [Float]) { #expect(abs(a - b) < 1e-6) }
    #expect(
      message(of: MergeError.self) {
        try LowRankAdapter.merge([plain, pissa], into: base, baseName: "b")
      }
        == "the adapter does not fit the base: init_lora_weights: it takes a part out of the base's own weights (p)"
    )
    let wide = StateDict(["w.weight": try Tensor([2, 0, 0, 1] as [Double], shape: [2, 2])])
    #expect(
      message(of: MergeError.self) {
        try LowRankAdapter.merge([pissa], into: wide, baseName: "b")
      }
        == "the adapter does not fit the base: w: init_lora_weights: peft takes a part out of weights of float32, float16 and bfloat16, not float64"
    )
  }
}
