internal import CkptStateDicts
internal import CkptTensors

/// How the modules of a base store their weights: as outputs by inputs, like `torch.nn.Linear`, or
/// as inputs by outputs, like transformers' `Conv1D` (GPT-2 and related models).
///
/// peft knows the modules' classes; a file only has shapes, which do not tell for square weights. A
/// `Conv1D` always has a bias with one element per output, so a weight that is not square shows its
/// orientation, and that of modules with the same name or in the same parent module.
struct WeightOrientation {
  private let base: StateDict
  /// Whether modules with each last name component store inputs first; both values if they differ.
  private var byName: [Substring: Set<Bool>] = [:]
  /// The same for modules by the parent module, with layer numbers ignored.
  private var byParent: [String: Set<Bool>] = [:]
  /// Whether any module is known to store inputs first.
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

  /// The number of elements of the bias beside a weight; nil if there is none.
  func biasCount(of key: String) -> Int? {
    guard key.hasSuffix(".weight"),
      let bias = base[key.dropLast("weight".count) + "bias"], bias.shape.count == 1
    else { return nil }
    return bias.shape[0]
  }

  /// Whether the module of a square weight stores inputs first; nil if it cannot be determined.
  ///
  /// - Parameters:
  ///   - key: the weight's key.
  ///   - flag: the configuration's `fan_in_fan_out`, which applies to no module in particular.
  func isConv1D(square key: String, flag: Bool?) -> Bool? {
    guard biasCount(of: key) != nil else {
      // If nothing in the base confirms the flag, the two contradict each other.
      return flag == true && !hasConv1D ? nil : false
    }
    guard hasConv1D else { return flag ?? false }
    let (parent, name) = Self.position(of: key)
    for shown in [byName[name], byParent[parent]] {
      if let shown, shown.count == 1 { return shown.first }
    }
    return nil
  }

  /// The parent module of a weight's module, with numbers replaced by `*`, and the module's last
  /// name component.
  private static func position(of key: String) -> (parent: String, name: Substring) {
    var parts = key.split(separator: ".", omittingEmptySubsequences: false).dropLast()
    let name = parts.popLast() ?? ""
    let parent = parts.map { $0.allSatisfy(\.isNumber) ? "*" : $0 }
    return (parent.joined(separator: "."), name)
  }
}
