internal import Synchronization

/// Whether operations remember what they did.
public enum GradientMode {
  @TaskLocal static var isRecording = true

  /// Runs `body` without remembering anything for gradients, as `torch.no_grad()` does.
  public static func off<Result>(_ body: () throws -> Result) rethrows -> Result {
    try $isRecording.withValue(false, operation: body)
  }
}

/// An operation that was done, with what is needed to find its inputs' gradients.
final class Node {
  typealias Rule = (_ gradient: Variable) throws -> [Variable?]

  enum Input {
    case node(Node)
    case leaf(Variable)
    case nothing
  }

  private static let counter = Atomic<UInt64>(0)
  /// Grows from operation to operation, so that descending order is an order to go back in.
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
    // A long chain of nodes would else be released by recursion as deep as the chain.
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
  /// Remembers, if anybody wants gradients, that `self` was computed from `inputs`.
  ///
  /// - Parameter rule: gives for `self`'s gradient those of the inputs, in their order; nil where
  ///   none is wanted. What it captures is held until gradients have been found.
  func computed(
    by name: StaticString, from inputs: [Variable], _ rule: @escaping Node.Rule
  ) -> Variable {
    guard GradientMode.isRecording, inputs.contains(where: \.requiresGrad) else { return self }
    node = Node(name, inputs, rule)
    return self
  }

  /// How many operations ``backward(gradient:retainGraph:)`` would go through: only those that lead to a
  /// leaf that wants gradients are remembered.
  public var recordedOperationCount: Int {
    var seen = Set<ObjectIdentifier>()
    var open = node.map { [$0] } ?? []
    while let next = open.popLast() {
      guard seen.insert(ObjectIdentifier(next)).inserted else { continue }
      for case .node(let input) in next.inputs { open.append(input) }
    }
    return seen.count
  }

  /// Finds the gradients of all leaves that this variable was computed from and adds them to their
  /// ``grad``.
  ///
  /// - Parameters:
  ///   - gradient: this variable's own gradient; 1 for a single number.
  ///   - retainGraph: whether what operations remember is kept, so that gradients can be found again;
  ///     by default it is freed on the way.
  /// - Throws: `TrainingError.noGraph` if nothing here wants gradients or they were found already.
  public func backward(gradient: Variable? = nil, retainGraph: Bool = false) throws {
    guard requiresGrad else {
      throw TrainingError.noGraph("nothing that this was computed from wants gradients")
    }
    guard gradient != nil || count == 1 else {
      throw TrainingError.noGraph("a gradient must be given unless there is one element (\(shape))")
    }
    if let gradient, gradient.shape != shape || gradient.scalarType != scalarType {
      throw TrainingError.badShape(
        operation: "backward", problem: "a gradient of shape \(gradient.shape) for \(shape)")
    }
    try GradientMode.off {
      var pass = BackwardPass()
      try pass.add(gradient ?? Variable.ones(shape, scalarType), to: self)
      try pass.run(retainGraph: retainGraph)
    }
  }
}

/// Goes from a result back to the leaves.
private struct BackwardPass {
  /// A sum of gradients, and whether its memory is nobody else's.
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
        throw TrainingError.noGraph("gradients were found already; call it with retainGraph: true")
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
      // Two leaves' gradients may be one and the same; what is clipped in place must not be.
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
