import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

/// A state dict of tensors that hold zeros; beside them a plain weight and a bias.
func stateDict(
  _ tensors: [(key: String, type: String, shape: [Int])], prefix: String = ""
) throws -> StateDict {
  var result = StateDict()
  result["norm.weight"] = try Tensor([1, 2] as [Float], shape: [2])
  for (key, type, shape) in tensors {
    let type = try #require(DType(name: type))
    let count = try #require(type.byteCount(ofElements: shape.reduce(1, *)))
    result[prefix + key] = try Tensor(
      storage: Storage(bytes: [UInt8](repeating: 0, count: count)), dtype: type, shape: shape)
  }
  return result
}

@Suite("Weights that are computed from several keys")
struct DerivedWeightTests {
  @Test(
    "Each form is recognized, whatever module it stands in, with all its parts",
    arguments: WeightsInParts.quantized + WeightsInParts.foldable + WeightsInParts.unknown)
  func forms(form: WeightsInParts.Form) throws {
    for prefix in ["", "model.layers.0."] {
      let found = try stateDict(form.tensors, prefix: prefix).derivedWeights
      let weight = try #require(found.first)
      #expect(found.count == 1)
      #expect(weight.kind.rawValue == form.kind)
      #expect(weight.key == prefix + form.key)
      #expect(Set(weight.parts) == Set(form.tensors.map { prefix + $0.key }))
      #expect(weight.isFoldable == form.isFoldable)
      #expect(weight.isLearnedPartwise == form.isLearnedPartwise || !form.isFoldable)
    }
  }

  @Test("Keys that only look so are ordinary tensors", arguments: WeightsInParts.ordinary.indices)
  func ordinary(index: Int) throws {
    let (name, tensors) = WeightsInParts.ordinary[index]
    #expect(try stateDict(tensors).derivedWeights.isEmpty, "\(name)")
  }

  @Test("A parametrization that only the modules' record knows is not folded over")
  func recordedModules() throws {
    var one = try stateDict(
      [
        ("m.parametrizations.weight.original", "float32", [4, 8]),
        ("m.parametrizations.weight.0._u", "float32", [4]),
        ("m.parametrizations.weight.0._v", "float32", [8]),
      ])
    #expect(one.derivedWeights.first?.mayHaveMoreSteps == true)
    let module = { (name: String) in
      StateDict.ModuleMetadata(module: name, value: OpaqueObject(summary: "dict"))
    }
    let list = ["", "m", "m.parametrizations.weight", "m.parametrizations.weight.0"]
    one.metadata = list.map(module)
    #expect(one.derivedWeights.first?.mayHaveMoreSteps == false)
    #expect(one.derivedWeights.first?.isFoldable == true)
    one.metadata = (list + ["m.parametrizations.weight.1"]).map(module)
    #expect(one.derivedWeights.first?.isFoldable == false)
    #expect(throws: DerivedWeightError.self) { try one.folding() }
  }

  @Test(
    "No suggestion leaves out one part of a weight to load another",
    arguments: WeightsInParts.quantized + WeightsInParts.foldable + WeightsInParts.unknown)
  func suggestions(form: WeightsInParts.Form) throws {
    for prefix in ["", "module."] {
      let parts = try stateDict(form.tensors, prefix: prefix)
      let shape = parts[prefix + form.main]?.shape ?? []
      let plain = try stateDict([(form.key, "float32", shape), ("n.weight", "float32", [3])])
      #expect(try parts.suggestedRenames(toFit: plain) == nil)
      // Nor is a plain weight renamed to be a part of one.
      #expect(try plain.suggestedRenames(toFit: stateDict(form.tensors)) == nil)
    }
    // As a whole they are renamed like any others.
    let moved = try stateDict(form.tensors, prefix: "module.").filter(include: "module")
    let found = try #require(
      try moved.suggestedRenames(toFit: stateDict(form.tensors).filter(exclude: "norm")))
    #expect(found.report.isLoadable)
  }
}
