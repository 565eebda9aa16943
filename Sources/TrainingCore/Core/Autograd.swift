internal import Synchronization

/// Runs `body` without recording operations for gradients: PyTorch's `torch.no_grad()`.
///
/// - Returns: what `body` returns.
/// - Throws: what `body` throws.
public func noGrad<Result>(_ body: () throws -> Result) rethrows -> Result {
  try GradientMode.$isRecording.withValue(false, operation: body)
}

/// Whether operations are recorded for gradients in the current task.
enum GradientMode {
  @TaskLocal static var isRecording = true
}

/// A recorded operation, which computes the gradients of its inputs: a node of the autograd graph.
final class Node {
  typealias Rule = (_ gradient: Variable) throws -> [Variable?]

  enum Input {
    case node(Node)
    case leaf(Variable)
    case nothing
  }

  private static let counter = Atomic<UInt64>(0)
  /// Increases from operation to operation, so that descending order is a valid order for the
  /// backward pass.
  let number: UInt64
  let name: StaticString
  fileprivate(set) var inputs: [Input]
  fileprivate(set) var rule: Rule?

  init(_ name: StaticString, _ inputs: [Variable], _ rule: @escaping Rule) {
    number = Self.counter.wrappingAdd(1, ordering: .relaxed).newValue
    self.name = name
    self.inputs = inputs.map { input in
      if let node = input.node { .node(node) } else { input.requiresGrad ? .leaf(input) : .nothing }
    }
    self.rule = rule
  }

  deinit {
    // Releasing a long chain of nodes would otherwise recurse once per node.
    var open: [Node] = []
    func release(_ inputs: inout [Input]) {
      for input in inputs { if case .node(let node) = input { open.append(node) } }
      inputs = []
    }
    rule = nil
    release(&inputs)
    while var node = open.popLast() {
      if isKnownUniquelyReferenced(&node) {
        node.rule = nil
        release(&node.inputs)
      }
    }
  }
}

extension Variable {
  /// Records that `self` was computed from `inputs`, if gradients are recorded and an input
  /// requires one.
  ///
  /// - Parameter rule: computes the gradients of the inputs, in order, from that of `self`; nil for
  ///   inputs that require none. What it captures is retained until the backward pass.
  func computed(
    by name: StaticString, from inputs: [Variable], _ rule: @escaping Node.Rule
  ) -> Variable {
    guard GradientMode.isRecording, inputs.contains(where: \.requiresGrad) else { return self }
    node = Node(name, inputs, rule)
    return self
  }

  /// The number of operations that ``backward(gradient:retainGraph:)`` would go through. Only
  /// operations that lead to a leaf that requires gradients are recorded.
  public var recordedOperationCount: Int {
    var seen = Set<ObjectIdentifier>()
    var open = node.map { [$0] } ?? []
    while let next = open.popLast() {
      guard seen.insert(ObjectIdentifier(next)).inserted else { continue }
      for case .node(let input) in next.inputs { open.append(input) }
    }
    return seen.count
  }

  /// Computes the gradients of all leaves from which this variable was computed, and adds them to
  /// their ``grad``: PyTorch's `backward()`.
  ///
  /// - Parameters:
  ///   - gradient: the gradient of this variable, of its shape; 1 for a variable of one element.
  ///   - retainGraph: whether recorded operations are kept, so that `backward` can be called again;
  ///     by default they are freed on the way.
  /// - Throws: `TrainingError.noGraph` if nothing here requires gradients, if the operations were
  ///   freed, or if `gradient` is missing; `TrainingError.badShape` if its shape or type differs;
  ///   what the operations' rules throw.
  public func backward(gradient: Variable? = nil, retainGraph: Bool = false) throws {
    guard requiresGrad else {
      throw TrainingError.noGraph("nothing that this was computed from requires gradients")
    }
    guard gradient != nil || count == 1 else {
      throw TrainingError.noGraph("a gradient must be given unless there is one element (\(shape))")
    }
    if let gradient, gradient.shape != shape || gradient.scalarType != scalarType {
      throw TrainingError.badShape(
        operation: "backward", problem: "a gradient of shape \(gradient.shape) for \(shape)")
    }
    try noGrad {
      var pass = BackwardPass()
      try pass.add(gradient ?? Variable.ones(shape, scalarType), to: self)
      try pass.run(retainGraph: retainGraph)
    }
  }
}

/// Propagates gradients from a result to the leaves, and sums them.
private struct BackwardPass {
  /// A sum of gradients, and whether nothing else uses its memory.
  struct Sum {
    var value: Variable
    var isOwned = false

    mutating func add(_ other: Variable) throws {
      if isOwned, value.isContiguous {
        try value.addInPlace(other)
      } else {
        value = try value + other
        isOwned = true
      }
    }
  }

  private var sums: [UInt64: Sum] = [:]
  private var open: [Node] = []
  private var leaves: [ObjectIdentifier: (leaf: Variable, sum: Sum)] = [:]
  private var leafOrder: [ObjectIdentifier] = []

  mutating func add(_ gradient: Variable, to target: Variable) throws {
    if let node = target.node {
      try add(gradient, to: .node(node))
    } else if target.requiresGrad {
      try add(gradient, to: .leaf(target))
    }
  }

  private mutating func add(_ gradient: Variable, to input: Node.Input) throws {
    switch input {
    case .nothing: return
    case .node(let node):
      if sums[node.number] != nil {
        try sums[node.number]?.add(gradient)
      } else {
        sums[node.number] = Sum(value: gradient)
        push(node)
      }
    case .leaf(let leaf):
      let id = ObjectIdentifier(leaf)
      if leaves[id] != nil {
        try leaves[id]?.sum.add(gradient)
      } else {
        leaves[id] = (leaf, Sum(value: gradient))
        leafOrder.append(id)
      }
    }
  }

  mutating func run(retainGraph: Bool) throws {
    while let node = pop() {
      guard let gradient = sums.removeValue(forKey: node.number)?.value else { continue }
      guard let rule = node.rule else {
        throw TrainingError.noGraph(
          "the operations were freed by the first backward pass; call it with retainGraph: true")
      }
      let results = try rule(gradient)
      let inputs = node.inputs
      if !retainGraph { node.rule = nil }
      for (input, result) in zip(inputs, results) {
        if let result { try add(result, to: input) }
      }
    }
    var taken = Set<ObjectIdentifier>()
    for id in leafOrder {
      guard let (leaf, sum) = leaves.removeValue(forKey: id) else { continue }
      if let existing = leaf.grad {
        try existing.addInPlace(sum.value)
        continue
      }
      // Two leaves may have the same gradient object, but clipping in place must not change both.
      let isShared = !taken.insert(ObjectIdentifier(sum.value.memory)).inserted
      leaf.grad =
        isShared || !sum.value.isContiguous ? try sum.value.copied() : sum.value.detached()
    }
  }

  // A heap with the highest number on top.
  private mutating func push(_ node: Node) {
    open.append(node)
    var child = open.count - 1
    while child > 0, open[(child - 1) / 2].number < open[child].number {
      open.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func pop() -> Node? {
    guard !open.isEmpty else { return nil }
    open.swapAt(0, open.count - 1)
    let top = open.removeLast()
    var parent = 0
    while true {
      var largest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < open.count {
        if open[child].number > open[largest].number { largest = child }
      }
      if largest == parent { return top }
      open.swapAt(parent, largest)
      parent = largest
    }
  }
}
