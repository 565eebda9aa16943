internal import OrderedCollections
internal import CkptTensors

/// The source of the names of an optimizer's parameters.
public enum ParameterNaming: Sendable, Hashable {
  /// The optimizer's own state has them (`param_names`, or names instead of numbers).
  case recorded
  /// The caller gave them.
  case given
  /// The state dict's keys fit in one way only; by which rule.
  case inferred(rule: String)
  /// They are not known; why.
  case unknown(reason: String)
}

/// Matches an optimizer's numbered parameters with the names in a state dict.
///
/// PyTorch numbers the parameters of all groups in the order in which the optimizer was given them,
/// and writes no names. A name is given here only where the order follows: every shape that the
/// optimizer's state shows must fit, and no other order that people use may fit as well.
public enum ParameterOrder {
  /// The facts about a parameter group that matching uses.
  public struct Group: Sendable {
    /// The number of parameters.
    public let count: Int
    /// Its `weight_decay`, if it has one.
    public let weightDecay: Double?

    /// A group of `count` parameters.
    public init(count: Int, weightDecay: Double? = nil) {
      self.count = count
      self.weightDecay = weightDecay
    }
  }

  /// The names that buffers of `torch.nn`'s own layers have.
  private static let bufferNames: Set<String> = [
    "running_mean", "running_var", "num_batches_tracked",
  ]

  /// The types whose tensors can require a gradient.
  private static let trainable: Set<DType> = [
    .float64, .float32, .float16, .bfloat16, .float8E4M3FN, .float8E5M2, .float8E4M3FNUZ,
    .float8E5M2FNUZ, .complex32, .complex64, .complex128,
  ]

  /// The keys that `module.parameters()` would yield for a module of that state dict: buffers are
  /// left out as far as they are known by type or name, and of tied tensors only the first counts.
  public static func parameters(of stateDict: StateDict) -> [(name: String, shape: [Int])] {
    let tensors = stateDict.tensors
    let areMarked = tensors.contains { $0.tensor.isParameter }
    var seen = Set<TensorView>()
    return tensors.compactMap { key, tensor in
      let last = key.split(separator: ".", omittingEmptySubsequences: false).last.map(String.init)
      guard trainable.contains(tensor.dtype), !areMarked || tensor.isParameter,
        !bufferNames.contains(last ?? key)
      else { return nil }
      let view = tensor.view
      let isNew = view.isEmpty || seen.insert(view).inserted
      return isNew ? (key, tensor.shape) : nil
    }
  }

  /// The names of an optimizer's parameters, in its order; nil and why, where they do not follow.
  ///
  /// - Parameters:
  ///   - groups: the parameter groups in order.
  ///   - shapes: for each parameter its shape, nil where the optimizer's state does not show it.
  public static func names(
    groups: [Group], shapes: [[Int]?], in stateDict: StateDict
  ) -> (names: [String]?, naming: ParameterNaming) {
    let all = parameters(of: stateDict)
    func fits(_ order: [(name: String, shape: [Int])]) -> Bool {
      order.count == shapes.count && zip(order, shapes).allSatisfy { $1 == nil || $0.shape == $1 }
    }
    var found: OrderedDictionary<[String], String> = [:]
    if all.count == shapes.count {
      for (rule, order) in orders(of: all, groups: groups) where fits(order) {
        let names = order.map(\.name)
        if found[names] == nil { found[names] = rule }
      }
    } else if all.count > shapes.count, let order = onlySubsequence(of: all, shapes) {
      found[order] = "the only order that the shapes allow"
    }
    if found.count == 1, let (names, rule) = found.elements.first {
      return (names, .inferred(rule: rule))
    }
    if found.count > 1 {
      return (
        nil, .unknown(reason: "\(found.count) orders fit: " + found.values.joined(separator: ", "))
      )
    }
    return (
      nil,
      .unknown(
        reason: "the optimizer has \(shapes.count) parameters, the state dict \(all.count), "
          + "and no usual order fits their shapes")
    )
  }

  /// Whether parameters of those shapes may be some of the state dict's, in whatever order.
  ///
  /// - Parameter shapes: for each parameter its shape, nil where the optimizer's state does not
  ///   show it.
  public static func mayHold(_ shapes: [[Int]?], in stateDict: StateDict) -> Bool {
    let all = parameters(of: stateDict)
    guard shapes.count <= all.count else { return false }
    var left: [[Int]: Int] = [:]
    for parameter in all { left[parameter.shape, default: 0] += 1 }
    return shapes.allSatisfy { shape in
      guard let shape else { return true }
      guard let count = left[shape], count > 0 else { return false }
      left[shape] = count - 1
      return true
    }
  }

  /// Orders that training scripts give parameters to an optimizer in.
  private static func orders(
    of all: [(name: String, shape: [Int])], groups: [Group]
  ) -> [(rule: String, order: [(name: String, shape: [Int])])] {
    var orders = [("the order of the state dict", all)]
    guard groups.count == 2 else { return orders }
    let tokens: Set<String> = ["pos_embed", "cls_token", "dist_token", "reg_token", "mask_token"]
    let rules: [(String, (String, [Int]) -> Bool)] = [
      ("no weight decay for biases and vectors", { $0.hasSuffix("bias") || $1.count <= 1 }),
      (
        "no weight decay for biases, vectors and tokens",
        { $0.hasSuffix("bias") || $1.count <= 1 || tokens.contains($0) }
      ), ("no weight decay for biases", { name, _ in name.hasSuffix("bias") }),
    ]
    for (rule, isExempt) in rules {
      let exempt = all.filter { isExempt($0.name, $0.shape) }
      let others = all.filter { !isExempt($0.name, $0.shape) }
      for (index, order) in [(0, [exempt, others]), (1, [others, exempt])] {
        let isPossible =
          groups[index].weightDecay.map { $0 == 0 } ?? true
          && groups[0].weightDecay != groups[1].weightDecay
        if isPossible, order.map(\.count) == groups.map(\.count) {
          orders.append((rule, order.flatMap(\.self)))
        }
      }
    }
    return orders
  }

  /// The one part of `all`, in its order, that has those shapes; nil if there is none or several.
  private static func onlySubsequence(
    of all: [(name: String, shape: [Int])], _ shapes: [[Int]?]
  ) -> [String]? {
    guard !shapes.isEmpty,
      shapes.count.multipliedReportingOverflow(by: all.count).partialValue < 20_000_000,
      all.count < 1_000_000
    else { return nil }
    // ways[i]: in how many ways (0, 1, more) the first i shapes can be had from the names so far.
    var ways = [UInt8](repeating: 0, count: shapes.count + 1)
    ways[0] = 1
    for parameter in all {
      for index in shapes.indices.reversed() where ways[index] > 0 {
        if shapes[index] == nil || shapes[index] == parameter.shape {
          ways[index + 1] = min(2, ways[index + 1] + ways[index])
        }
      }
    }
    guard ways[shapes.count] == 1 else { return nil }
    var names: [String] = []
    for parameter in all where names.count < shapes.count {
      let wanted = shapes[names.count]
      if wanted == nil || wanted == parameter.shape { names.append(parameter.name) }
    }
    return names.count == shapes.count ? names : nil
  }
}
