import CkptPatterns
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@testable import CkptMerging

@Suite("No operation computes with parts of weights as if they were weights")
struct NumberGateTests {
  private static let forms =
    WeightsInParts.quantized + WeightsInParts.foldable + WeightsInParts.unknown

  /// The form's tensors, every byte `fill`, beside a plain weight.
  private func stateDict(_ form: WeightsInParts.Form, fill: UInt8 = 1) throws -> StateDict {
    var result = StateDict()
    result["norm.weight"] = try Tensor([1, 2, 3, Float(fill)], shape: [2, 2])
    for (key, type, shape) in form.tensors {
      let type = try #require(DType(name: type))
      let count = try #require(type.byteCount(ofElements: shape.reduce(1, *)))
      result[key] = try Tensor(
        storage: Storage(bytes: [UInt8](repeating: fill, count: count)), dtype: type,
        shape: shape)
    }
    return result
  }

  private func merge(_ method: MergeMethod, _ form: WeightsInParts.Form) throws -> StateDictMerge {
    let inputs = try (0..<4).map {
      MergeInput(name: "\($0).pt", stateDict: try stateDict(form, fill: UInt8($0 + 1)))
    }
    return MergeTests.merge(method, inputs)
  }

  @Test("merge, by every method, in every form", arguments: MergeMethod.allCases)
  func merging(method: MergeMethod) throws {
    for form in Self.forms {
      var merge = try merge(method, form)
      if form.isLearnedPartwise || form.name.contains("original")
        || form.name == "no map with tensors"
      {
        // Averages of learned parts are averages of parameters; the weights are named.
        #expect(try merge.merged().partwise.map(\.key) == [form.key], "\(form.name)")
      } else {
        let error = #expect(throws: DerivedWeightError.self, "\(form.name)") {
          try merge.merged()
        }
        #expect(error?.weights.map(\.key) == [form.key])
      }
      // Left out as a whole they do not matter.
      merge.selection = KeySelection(exclude: [try KeyPattern(.under, "m")])
      #expect(try merge.merged().merged == ["norm.weight"])
    }
  }

  @Test("Adapters are not added to them", arguments: forms)
  func adapters(form: WeightsInParts.Form) throws {
    let module = String(form.key.dropLast(form.key.hasSuffix(".weight") ? ".weight".count : 0))
    guard form.key.hasSuffix(".weight") else { return }
    var adapter = StateDict()
    adapter["base_model.model.\(module).lora_A.weight"] = try Tensor(
      [Float](repeating: 1, count: 8), shape: [1, 8])
    adapter["base_model.model.\(module).lora_B.weight"] = try Tensor(
      [Float](repeating: 1, count: 4), shape: [4, 1])
    var configuration = LowRankAdapter.Configuration()
    configuration.alpha = 1
    let low = LowRankAdapter(adapter, name: "a", configuration: configuration)
    let error = #expect(throws: DerivedWeightError.self) {
      try low.merged(into: stateDict(form), baseName: "base.pt")
    }
    #expect(error?.description.contains(form.key) == true)
  }

  @Test("Codes and their scales are not cast; other parts are, each by itself", arguments: forms)
  func casting(form: WeightsInParts.Form) throws {
    let floats = { (_: String, tensor: Tensor) in tensor.dtype.isFloat }
    let own = try stateDict(form)
    if form.kind == "quantized",
      form.tensors.contains(where: { DType(name: $0.type)?.isFloat == true })
    {
      let error = #expect(throws: DerivedWeightError.self) {
        try own.converting(to: .float64, where: floats)
      }
      #expect(error?.weights.map(\.key) == [form.key])
    } else {
      #expect(try own.converting(to: .float64, where: floats).stateDict.count == own.count)
    }
    // Left out as a whole they stay.
    let rest = try own.converting(to: .float64) { key, _ in !key.hasPrefix("m.") }.stateDict
    #expect(rest["norm.weight"]?.dtype == .float64)
  }

  @Test("An update replaces all parts of a weight or none", arguments: forms)
  func updating(form: WeightsInParts.Form) throws {
    let other = try stateDict(form, fill: 2)
    for (key, _, _) in form.tensors where form.tensors.count > 1 {
      var base = try stateDict(form)
      #expect(throws: DerivedWeightError.self) {
        try base.update(with: other.filter { one, _ in one == key })
      }
      #expect(throws: DerivedWeightError.self) {
        try base.update(with: other.filter { one, _ in one != key })
      }
    }
    var base = try stateDict(form)
    #expect(try base.update(with: other).replaced.count == other.count)
    var empty = StateDict()
    #expect(try empty.update(with: other, allowNew: true).added.count == other.count)
  }

  @Test("They are not made to fit", arguments: forms)
  func resizing(form: WeightsInParts.Form) throws {
    let main = form.tensors[0]
    guard !main.shape.isEmpty else { return }
    var base = try stateDict(form)
    var shape = main.shape
    shape[0] += 1
    let type = try #require(DType(name: main.type))
    let count = shape.reduce(1, *) * type.byteCount
    base[main.key] = try Tensor(
      storage: Storage(bytes: [UInt8](repeating: 0, count: count)), dtype: type, shape: shape)
    #expect(throws: DerivedWeightError.self) {
      try stateDict(form).resized(toFit: base, [ResizeRule("is:\(main.key)=pad")])
    }
  }
}
