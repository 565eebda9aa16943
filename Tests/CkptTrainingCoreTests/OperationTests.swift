import CkptTestSupport
import Testing
import TrainingCore

/// Operations and losses against PyTorch: outputs and gradients of every input.
@Suite struct OperationTests {
  typealias Operation = @Sendable ([Variable]) throws -> Variable

  static let operations: KeyValuePairs<String, Operation> = [
    "add": { try $0[0] + $0[1] },
    "subtract": { try $0[0] - $0[1] },
    "multiply": { try $0[0] * $0[1] },
    "divide": { try $0[0] / $0[1] },
    "square": { try $0[0] * $0[0] },
    "numbers": { try 2 - ($0[0] * 3 + 1) / 4 },
    "matmul": { try $0[0].matmul($0[1]) },
    "matmul_batch": { try $0[0].matmul($0[1]) },
    "matmul_transposed": { try $0[0].transposed().matmul($0[1].transposed()) },
    "matmul_vectors": { try $0[0].matmul($0[1]) },
    "matmul_column": { try $0[0].matmul($0[1]) },
    "sum": { try $0[0].sum() },
    "sum_dims": { try $0[0].sum([0, 2]) },
    "sum_keep": { try $0[0].sum([1], keepDimensions: true) },
    "mean_last": { try $0[0].mean([-1]) },
    "mean": { try $0[0].mean() },
    "max": { try $0[0].maximum(dimension: 1).values },
    "exp": { try $0[0].exp() },
    "log": { try $0[0].log() },
    "sqrt": { try $0[0].sqrt() },
    "abs": { try $0[0].abs() },
    "log_softmax": { try $0[0].logSoftmax(dimension: 1) },
    "cat": { try Variable.cat([$0[0], $0[1], $0[0]], dimension: 1) },
    "stack": { try Variable.stack($0, dimension: 1) },
    "slice": { try $0[0].sliced(1..<3, dimension: 1) },
    "select": { try $0[0].selected(-1, dimension: 1) },
    "chunk": {
      let parts = try $0[0].chunked(3, dimension: 1)
      return try parts[1] * parts[2]
    },
    "permute": { try $0[0].permuted([2, 0, 1]) * 2 },
    "reshape": { try $0[0].transposed(0, 1).reshaped([2, -1]) },
    "expand": { try $0[0].expanded(to: [3, 2, 4]) },
    "masked_fill": {
      try $0[0].maskedFill(Variable(mask: [true, false, true, false], shape: [4]), -7)
    },
    "twice": {
      let double = try $0[0] * 2
      return try double.relu() + $0[0].exp() * double
    },
    "attention": { try Variable.scaledDotProductAttention(query: $0[0], key: $0[1], value: $0[2]) },
    "attention_causal": {
      try Variable.scaledDotProductAttention(
        query: $0[0], key: $0[1], value: $0[2], isCausal: true, scale: 0.3)
    },
    "attention_mask": {
      try Variable.scaledDotProductAttention(
        query: $0[0], key: $0[1], value: $0[2],
        attentionMask: TrainingFixture("operations").need("attention_mask/mask"))
    },
  ]

  @Test(arguments: operations.map(\.key))
  func `An operation gives PyTorch's outputs and gradients`(name: String) throws {
    let operation = try #require(Self.operations.first { $0.key == name }).value
    try compare(TrainingFixture("operations"), name, operation)
  }

  @Test func `Every operation of the fixture is tested`() throws {
    #expect(try Set(TrainingFixture("operations").cases) == Set(Self.operations.map(\.key)))
  }

  static let losses: [(name: String, loss: Operation)] =
    Reduction.allCases.flatMap(losses(_:)) + [
      (name: "kl_batchmean", loss: { @Sendable in try $0[0].klDiv($0[1], batchMean: true) })
    ]

  static func losses(_ reduction: Reduction) -> [(name: String, loss: Operation)] {
    [
      ("cross_entropy_\(reduction)", { try $0[0].crossEntropy($0[1], reduction: reduction) }),
      (
        "cross_entropy_weight_\(reduction)",
        { try CrossEntropyLoss(weight: $0[2], reduction: reduction)($0[0], $0[1]) }
      ),
      (
        "cross_entropy_smooth_\(reduction)",
        {
          try CrossEntropyLoss(
            weight: $0[2], ignoreIndex: 1, reduction: reduction, labelSmoothing: 0.2)(
              $0[0], $0[1])
        }
      ),
      (
        "cross_entropy_dense_\(reduction)",
        { try $0[0].crossEntropy($0[1], labelSmoothing: 0.1, reduction: reduction) }
      ),
      (
        "cross_entropy_probabilities_\(reduction)",
        {
          try $0[0].crossEntropy(
            $0[1], weight: $0[2], labelSmoothing: 0.1, reduction: reduction)
        }
      ),
      ("nll_\(reduction)", { try $0[0].nllLoss($0[1], weight: $0[2], reduction: reduction) }),
      ("mse_\(reduction)", { try $0[0].mseLoss($0[1], reduction: reduction) }),
      ("l1_\(reduction)", { try $0[0].l1Loss($0[1], reduction: reduction) }),
      (
        "bce_\(reduction)",
        { try $0[0].binaryCrossEntropyWithLogits($0[1], reduction: reduction) }
      ),
      (
        "bce_weight_\(reduction)",
        {
          try $0[0].binaryCrossEntropyWithLogits(
            $0[1], weight: $0[2], posWeight: $0[3], reduction: reduction)
        }
      ),
      ("kl_\(reduction)", { try $0[0].klDiv($0[1], reduction: reduction) }),
      (
        "kl_log_\(reduction)",
        { try $0[0].klDiv($0[1], logTarget: true, reduction: reduction) }
      ),
    ]
  }

  @Test(arguments: losses.map(\.name))
  func `A loss gives PyTorch's value and gradients`(name: String) throws {
    let loss = try #require(Self.losses.first { $0.name == name }).loss
    try compare(TrainingFixture("losses"), name, loss)
  }

  @Test func `Every loss of the fixture is tested`() throws {
    #expect(try Set(TrainingFixture("losses").cases) == Set(Self.losses.map(\.name)))
  }

  private func compare(_ fixture: TrainingFixture, _ name: String, _ operation: Operation) throws {
    let inputs = try fixture.inputs(name)
    let output = try operation(inputs)
    try expectClose(output, fixture.need("\(name)/output"), "output")
    try output.backward(gradient: fixture.need("\(name)/gradient"))
    for (i, input) in inputs.enumerated() {
      guard let wanted = try fixture.variable("\(name)/grad/input\(i)") else { continue }
      try expectClose(input.grad, wanted, "gradient of input \(i)")
    }
  }
}
