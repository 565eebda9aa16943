import CkptBytes
import StateDictKit
import CkptTestSupport
import Testing

@testable import CkptMerging

@Suite("What a merge takes from the first input")
struct KeptValueTests {
  /// A kind of value that cannot be merged, two different ones of it, and whether a difference is an error.
  struct Kind: Sendable, CustomTestStringConvertible {
    let name: String
    let values: [StateDict.Value]
    let isBuffer: Bool
    var testDescription: String { name }
  }

  private static func tensor(
    _ type: DType, _ byte: UInt8, _ quantization: Quantization? = nil
  ) throws -> Tensor {
    let bytes = [UInt8](repeating: byte, count: 4 * type.byteCount)
    var tensor = try Tensor(storage: Storage(bytes: bytes), dtype: type, shape: [4])
    tensor.quantization = quantization
    return tensor
  }

  static let kinds: [Kind] = {
    var kinds: [Kind] = []
    func add(_ name: String, isBuffer: Bool = false, _ make: (UInt8) throws -> StateDict.Value) {
      guard let values = try? [UInt8(0), 1].map(make) else { return }
      kinds.append(Kind(name: name, values: values, isBuffer: isBuffer))
    }
    for type: DType in [.int64, .int32, .int16, .int8, .uint8, .bool] {
      add(type.name, isBuffer: true) { .tensor(try KeptValueTests.tensor(type, $0)) }
    }
    add("qint8 codes") {
      .tensor(try KeptValueTests.tensor(.qint8, $0, .perTensor(scale: 1, zeroPoint: 0)))
    }
    add("qint8 scale") {
      .tensor(try KeptValueTests.tensor(.qint8, 0, .perTensor(scale: Double($0), zeroPoint: 0)))
    }
    add("qint8 zero points") {
      .tensor(
        try KeptValueTests.tensor(
          .qint8, 0,
          .perChannel(
            axis: 0, scales: [1, 1, 1, 1], zeroPoints: [0, 0, 0, $0 == 0 ? .nan : 1])))
    }
    add("subclass") { byte in
      .object(OpaqueObject(summary: "subclass", tensors: [try KeptValueTests.tensor(.int8, byte)]))
    }
    add("subclass of another number of tensors") { byte in
      .object(
        OpaqueObject(
          summary: "subclass",
          tensors: try (0..<Int(byte) + 1).map { _ in try KeptValueTests.tensor(.int8, 0) }))
    }
    add("object") { .object(OpaqueObject(summary: "number \($0)")) }
    add("tensor or object") {
      $0 == 0
        ? .tensor(try KeptValueTests.tensor(.int64, 0))
        : .object(OpaqueObject(summary: "number"))
    }
    return kinds
  }()

  private func merge(_ values: [StateDict.Value], _ method: MergeMethod) throws -> StateDictMerge {
    let inputs = try values.enumerated().map { index, value in
      var stateDict = try StateDict(["w": Tensor([Float(index)], shape: [1])])
      stateDict.setValue(value, for: "x")
      return MergeInput(name: "\(index).pt", stateDict: stateDict)
    }
    var merge = StateDictMerge(
      method: method, inputs: inputs, base: method.baseUse == .required ? 0 : nil)
    merge.settings = MergeSettings([.weight: MergeSetting(0.5)])
    return merge
  }

  @Test("All kinds are there")
  func count() { #expect(Self.kinds.count == 13) }

  @Test("The same value everywhere stays, without a word", arguments: kinds)
  func same(kind: Kind) throws {
    for method in [MergeMethod.linear, .taskArithmetic] {
      for value in kind.values {
        let result = try merge([value, value, value], method).merged()
        #expect(result.copied == ["x"] && result.merged == ["w"] && result.differing.isEmpty)
      }
    }
  }

  @Test("Another value is named; it is an error but for what counts or numbers", arguments: kinds)
  func other(kind: Kind) throws {
    let values = [kind.values[0], kind.values[0], kind.values[1]]
    for method in [MergeMethod.linear, .taskArithmetic] {
      var merge = try merge(values, method)
      if !kind.isBuffer, kind.name != "tensor or object" {
        let error = try #require(throws: MergeError.self) { try merge.merged() }
        guard case .unmergeable(let all) = error else {
          Issue.record("\(error)")
          return
        }
        #expect(all.map(\.key) == ["x"] && all.map(\.inputs) == [["2.pt"]])
        #expect("\(error)".contains("x (") && error.kind == .badInput)
      }
      merge.keepsUnmergeable = true
      let result = try merge.merged()
      #expect(result.differing.map(\.key) == ["x"] && result.differing[0].inputs == ["2.pt"])
      #expect(result.copied == ["x"])
    }
  }

  @Test("Objects without tensors were not looked into, and are called so")
  func unseen() throws {
    let object = StateDict.Value.object(OpaqueObject(summary: "module"))
    #expect(try merge([object, object], .linear).merged().notCompared == ["x"])
  }

  @Test(
    "Complex numbers are merged by methods that are sums, and refused by others",
    arguments: [DType.complex64, .complex128])
  func complex(type: DType) throws {
    func numbers(_ values: [Double]) throws -> StateDict.Value {
      let parts = try Tensor(values, shape: [values.count])
        .converting(to: type == .complex64 ? .float32 : .float64)
      let source = try parts.contiguousSource()
      var tensor = try Tensor(
        storage: Storage(bytes: source.bytes(in: 0..<source.byteCount)), dtype: type,
        shape: [values.count / 2])
      tensor.isConjugate = true
      return .tensor(tensor)
    }
    func parts(_ stateDict: StateDict) throws -> [Double] {
      let tensor = try #require(stateDict["x"])
      #expect(tensor.dtype == type && !tensor.isConjugate)
      let source = try tensor.contiguousSource()
      var values = [Double](repeating: 0, count: tensor.elementCount * 2)
      let real = try Tensor(
        storage: Storage(source), dtype: type == .complex64 ? .float32 : .float64,
        shape: [values.count])
      try values.withMutableSpan { try real.makeElementReader().read(into: &$0) }
      return values
    }
    let values = try [numbers([1, 2, 3, -4]), numbers([5, -6, 0.5, 8])]
    for method in [MergeMethod.linear, .swa] {
      // The conjugates' mean.
      let result = try merge(values, method).merged()
      #expect(result.merged == ["w", "x"])
      #expect(try parts(result.stateDict) == [3, 2, 1.75, -2])
    }
    let sum = try merge(values, .taskArithmetic).merged().stateDict
    #expect(try parts(sum) == [3, 2, 1.75, -2])
    for method in MergeMethod.allCases
    where !["linear", "swa", "ema", "passthrough", "task-arithmetic"].contains(method.name) {
      let count = max(2, min(3, method.inputCounts.upperBound))
      var refused = try merge(Array((values + values).prefix(count)), method)
      refused.settings = MergeSettings([.weight: MergeSetting(0.5), .t: MergeSetting(0.5)])
      let error = try #require(throws: MergeError.self) { try refused.merged() }
      #expect("\(error)".contains("x (complex"), "\(method.name): \(error)")
    }
  }
}

@Suite("Numbers that a merge loses")
struct MergeLossTests {
  private func merged(
    _ values: [[Float]], _ type: DType, to target: DType? = nil, keepsNaN: Bool = false,
    method: MergeMethod = .linear, weight: Double = 1
  ) throws -> StateDictMerge.Result {
    var merge = StateDictMerge(
      method: method,
      inputs: try values.enumerated().map { index, numbers in
        MergeInput(
          name: "\(index)",
          stateDict: StateDict([
            "w": try Tensor(numbers, shape: [numbers.count]).converting(to: type)
          ]))
      }, base: method.baseUse == .required ? 0 : nil)
    merge.settings = MergeSettings([
      .weight: MergeSetting(weight), .normalize: MergeSetting(0),
    ])
    merge.dtype = target
    merge.keepsNaN = keepsNaN
    return try merge.merged()
  }

  private func read(_ result: StateDictMerge.Result) throws -> MergeTally.Losses {
    let source = try #require(result.stateDict["w"]).contiguousSource()
    _ = try source.bytes(in: 0..<source.byteCount)
    return try #require(result.tallies.first { $0.key == "w" }).losses
  }

  @Test("What becomes infinite, or zero, is counted, and infinities that were there are not")
  func overflow() throws {
    let large: [Float] = [60000, 1, -60000, .infinity]
    #expect(try read(merged([large, large], .float16)).overflowed == 2)
    #expect(try read(merged([large, large], .float32, to: .float16, weight: 0.5)).isEmpty)
    let lost = try read(
      merged([[70000, 1e-9], [70000, 1e-9]], .float32, to: .float16, weight: 0.5))
    #expect(lost.overflowed == 1 && lost.vanished == 1)
    #expect(try read(merged([[3e38], [3e38]], .float32)).overflowed == 1)
    #expect(try read(merged([[3e38], [3e38]], .bfloat16)).overflowed == 1)
    let wide = try merged([[1], [1]], .float64, weight: 1.7e308)
    #expect(try read(wide).overflowed == 1)
  }

  @Test("NaN that comes of infinities is an error that names the tensor, or counted")
  func notNumbers() throws {
    let masks: [[Float]] = [[-.infinity, 1], [-.infinity, 2]]
    let result = try merged(masks, .float32, method: .taskArithmetic)
    #expect(throws: MergeError.madeNaN(key: "w")) { try read(result) }
    let kept = try merged(masks, .float32, keepsNaN: true, method: .taskArithmetic)
    #expect(try read(kept).notNumbers == 1)
    let mean = try merged(masks, .float32, weight: 0.5)
    #expect(try read(mean).isEmpty)
  }
}

@Suite("Numbers that an adapter makes too large")
struct AdapterLossTests {
  private func merged(
    _ weight: [Float], _ factor: Float, _ type: DType, keepsNaN: Bool = false
  ) throws -> (StateDictMerge.Result, MergeTally.Losses?) {
    let base = try StateDict(["l.weight": Tensor(weight, shape: [2, 2]).converting(to: type)])
    let adapter = try StateDict([
      "base_model.model.l.lora_A.weight": Tensor([1, 1] as [Float], shape: [1, 2]),
      "base_model.model.l.lora_B.weight": Tensor([factor, factor] as [Float], shape: [2, 1]),
    ])
    let result = try LowRankAdapter(adapter, name: "a")
      .merged(into: base, baseName: "b", scale: 1, keepsNaN: keepsNaN)
    let source = try #require(result.stateDict["l.weight"]).contiguousSource()
    if case .computed(let bytes) = source { try bytes.prepare() }
    _ = try source.bytes(in: 0..<source.byteCount)
    return (result, result.tallies.first?.losses)
  }

  @Test("Overflow is counted, infinities that were there are not, NaN of infinities is decided")
  func losses() throws {
    #expect(try merged([60000, 1, 60000, .infinity], 10000, .float16).1?.overflowed == 2)
    #expect(try merged([1, 2, 3, 4], 5, .float16).1?.isEmpty == true)
    #expect(throws: MergeError.madeNaN(key: "l.weight")) {
      try merged([.infinity, 1, 1, 1], -.infinity, .float32)
    }
    let kept = try merged([.infinity, 1, 1, 1], -.infinity, .float32, keepsNaN: true).1
    #expect(kept?.notNumbers == 1)
  }
}
