internal import CkptStateDicts
internal import CkptTensors

/// Which way round the modules of a base store their weights: outputs by inputs, as `torch.nn.Linear`, or inputs by
/// outputs, as transformers' `Conv1D` (GPT-2 and its relatives).
///
/// peft knows the modules' classes; a file has shapes. Where these do not tell, since a weight is square, the rest of
/// the base does: a `Conv1D` always has a bias, and the bias has as many elements as there are outputs, so that a
/// weight that is not square shows its orientation, and with it that of modules with its name, or beside it.
struct WeightOrientation {
  private let base: StateDict
  /// What modules with the same last name show, whether they store inputs first.
  private var byName: [Substring: Set<Bool>] = [:]
  /// The same of modules that lie in the same module, layers' numbers aside.
  private var byParent: [String: Set<Bool>] = [:]
  /// Whether any module stores inputs first.
  private(set) var hasConv1D = false

  init(_ base: StateDict) {
    self.base = base
    base.forEach { key, value in
      guard let weight = value.tensor, weight.shape.count == 2, weight.shape[0] != weight.shape[1],
        let outputs = biasCount(of: key), weight.shape.contains(outputs)
      else { return }
      let isConv1D = outputs == weight.shape[1]
      let (parent, name) = Self.position(of: key)
      byName[name, default: []].insert(isConv1D)
      byParent[parent, default: []].insert(isConv1D)
      if isConv1D { hasConv1D = true }
    }
  }

  /// How many elements the bias beside a weight has; nil if there is none.
  func biasCount(of key: String) -> Int? {
    guard key.hasSuffix(".weight"),
      let bias = base[key.dropLast("weight".count) + "bias"], bias.shape.count == 1
    else { return nil }
    return bias.shape[0]
  }

  /// Whether the module of a square weight stores inputs first; nil if nothing tells.
  ///
  /// - Parameter flag: the configuration's `fan_in_fan_out`, which says it of no module in particular.
  func isConv1D(square key: String, flag: Bool?) -> Bool? {
    guard biasCount(of: key) != nil else {
      // If nothing in the base bears the flag out, the two contradict each other.
      return flag == true && !hasConv1D ? nil : false
    }
    guard hasConv1D else { return flag ?? false }
    let (parent, name) = Self.position(of: key)
    for shown in [byName[name], byParent[parent]] {
      if let shown, shown.count == 1 { return shown.first }
    }
    return nil
  }

  private static func position(of key: String) -> (parent: String, name: Substring) {
    var parts = key.split(separator: ".", omittingEmptySubsequences: false).dropLast()
    let name = parts.popLast() ?? ""
    let parent = parts.map { $0.allSatisfy(\.isNumber) ? "*" : $0 }
    return (parent.joined(separator: "."), name)
  }
}
