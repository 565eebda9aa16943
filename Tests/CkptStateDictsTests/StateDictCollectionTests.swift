import CkptStateDicts
import CkptTensors
import Testing

@Suite struct StateDictCollectionTests {
  private let weight: Tensor
  private let bias: Tensor

  init() throws {
    weight = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    bias = try Tensor([5, 6] as [Float], shape: [2])
  }

  @Test func `A literal keeps its order, and a key that occurs twice its last value`() {
    let stateDict: StateDict = ["b": .tensor(weight), "a": .tensor(bias), "b": .tensor(bias)]
    #expect(stateDict.keys == ["b", "a"])
    #expect(stateDict["b"]?.shape == [2])
    #expect(stateDict.values.compactMap(\.tensor?.shape) == [[2], [2]])
  }

  @Test func `It is a sequence of keys and values`() {
    let stateDict = StateDict(["fc.weight": weight, "fc.bias": bias])
    var keys: [String] = []
    for (key, value) in stateDict where value.tensor != nil { keys.append(key) }
    #expect(keys == ["fc.weight", "fc.bias"])
    #expect(stateDict.elements.count == 2)
    #expect(stateDict.elements[1].key == "fc.bias")
    #expect(stateDict.elements.reversed().map(\.key) == ["fc.bias", "fc.weight"])
    #expect(stateDict.first { $0.key.hasSuffix("bias") }?.value.tensor?.shape == [2])
    #expect(StateDict().elements.isEmpty)
  }

  @Test func `Equal means the same keys in the same order with the same contents`() throws {
    let stateDict = StateDict(["a": weight, "b": bias])
    #expect(stateDict == StateDict(["a": weight, "b": bias]))
    // The same bits in memory are the same contents.
    #expect(
      try stateDict
        == StateDict(["a": Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]), "b": bias]))
    var negative = weight
    negative.isNegative = true
    let others: [StateDict] = [
      StateDict(["b": bias, "a": weight]), StateDict(["a": weight]), StateDict(),
      StateDict(["a": bias, "b": weight]), StateDict(["a": negative, "b": bias]),
      StateDict(["a": try weight.transposed(), "b": bias]),
      StateDict(["a": try weight.reshaped(to: [4]), "b": bias]),
      StateDict(["a": try weight.converting(to: .float64), "b": bias]),
    ]
    for other in others { #expect(stateDict != other) }
    // Python takes the two forms of a letter for two keys.
    #expect(StateDict(["caf\u{E9}": bias]) != StateDict(["cafe\u{301}": bias]))
  }

  @Test func `An object that was not read from a file is equal to its copies alone`() {
    let (object, other) = (OpaqueObject(summary: "int"), OpaqueObject(summary: "int"))
    let stateDict: StateDict = ["n": .object(object)]
    #expect(stateDict == stateDict)
    #expect(stateDict == ["n": .object(object)])
    #expect(stateDict != ["n": .object(other)])
  }

  @Test func `Its description has a line for each key, and ends`() {
    #expect(
      StateDict(["fc.weight": weight, "fc.bias": bias]).description == """
        2 keys, 6 elements
          fc.weight: float32 [2, 2]
          fc.bias: float32 [2]
        """)
    var many = StateDict()
    for number in 0..<1000 { many["\(number)"] = bias }
    let lines = many.description.split(separator: "\n")
    #expect(lines.count == 21)
    #expect(lines.last == "  and 981 more")
  }
}
