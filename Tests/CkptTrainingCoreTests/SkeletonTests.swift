import CkptPatterns
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing
import TrainingCore

@Suite struct SkeletonTests {
  @Test func `Gradients of a polynomial are its derivative`() throws {
    let x = try Variable([1, 2, 3], shape: [3], requiresGrad: true)
    try (x * x * x - 2 * x).sum().backward()
    #expect(try x.grad?.floats() == [1, 10, 25])
  }

  @Test func `A small network learns exclusive or`() throws {
    let random = RandomSource(seed: 1)
    let model = Sequential(
      try Linear(2, 16, from: random), Tanh(), try Linear(16, 2, from: random))
    let optimizer = try SGD(model.parameters, learningRate: 0.5, momentum: 0.9)
    let inputs = try Variable([0, 0, 0, 1, 1, 0, 1, 1], shape: [4, 2])
    let targets = try Variable(indices: [0, 1, 1, 0])
    let loss = CrossEntropyLoss()
    for _ in 0..<200 {
      optimizer.zeroGrad()
      try loss(model(inputs), targets).backward()
      try optimizer.step()
    }
    #expect(try loss(model(inputs), targets).item() < 0.01)
    #expect(try model(inputs).argmax().integers() == [0, 1, 1, 0])
  }

  @Test func `A state dict shares memory with its module and loads into another`() throws {
    let first = try Block(RandomSource(seed: 1))
    let second = try Block(RandomSource(seed: 2))
    let dict = try first.stateDict()
    #expect(
      dict.keys == [
        "conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var",
        "bn1.num_batches_tracked", "layers.0.weight", "layers.0.bias", "layers.1.weight",
        "layers.1.bias",
      ])
    let report = try second.load(dict)
    #expect(report.isLoadable && report.loaded == dict.keys)
    #expect(try second.conv1.weight.floats() == first.conv1.weight.floats())
    first.conv1.weight.reinitialize(.constant(7))
    #expect(try dict["conv1.weight"]?.floats().allSatisfy { $0 == 7 } == true)
    #expect(try second.conv1.weight.floats() != first.conv1.weight.floats())
  }

  @Test func `A strict load changes nothing unless all fits; another takes what fits`() throws {
    let model = try Block(RandomSource(seed: 1))
    let before = try model.conv1.weight.floats()
    var dict = try Block(RandomSource(seed: 2)).stateDict()
    dict["layers.1.bias"] = try Tensor([1, 2] as [Float], shape: [2])
    dict["bn1.bias"] = nil
    dict["extra"] = try Tensor([1] as [Float], shape: [1])
    #expect(
      message(of: TrainingError.self) { try model.load(dict) }
        == "the state dict does not fit the model: missing bn1.bias; unexpected extra; other layers.1.bias ([2] for [3])"
    )
    #expect(try model.conv1.weight.floats() == before)
    let report = try model.load(dict, strict: false)
    #expect(report.missing == ["bn1.bias"])
    #expect(report.unexpected == ["extra"])
    #expect(report.mismatched.map(\.key) == ["layers.1.bias"])
    #expect(try model.conv1.weight.floats() != before)
  }

  @Test func `Frozen parameters get no gradient, and what only leads to them is not gone through`()
    throws
  {
    let model = try Block(RandomSource(seed: 1))
    let trainable = try model.freeze(except: KeyPattern("under:layers.1"))
    #expect(trainable == 2)
    let output = try model(Variable.ones([2, 3, 4, 4]))
    #expect(output.recordedOperationCount == 1)
    try output.sum().backward()
    #expect(
      model.namedParameters.filter { $0.parameter.grad != nil }.map(\.key)
        == ["layers.1.weight", "layers.1.bias"])
    #expect(throws: TrainingError.noSuchParameter(pattern: "under:head")) {
      try model.freeze(KeyPattern("under:head"))
    }
  }

  @Test func `What a backward pass has used is freed, unless it is to be kept`() throws {
    let x = try Variable([1, 2], shape: [2], requiresGrad: true)
    let y = try (x * x).sum()
    try y.backward(retainGraph: true)
    try y.backward()
    #expect(try x.grad?.floats() == [4, 8])
    #expect(
      message(of: TrainingError.self) { try y.backward() }
        == "backward: the operations were freed by the first backward pass; call it with retainGraph: true"
    )
  }

  @Test func `A chain of a hundred thousand operations is gone back through and freed`() throws {
    let x = try Variable([1], shape: [], requiresGrad: true)
    var y = x
    for _ in 0..<100_000 { y = try y.reshaped([]) }
    try y.backward(retainGraph: true)
    #expect(try x.grad?.item() == 1)
  }

  @Test func `A counter at its end does not crash a batch norm`() throws {
    let norm = try BatchNorm1d(1, momentum: nil)
    var dict = try norm.stateDict()
    dict["num_batches_tracked"] = try Tensor([Int64.max], shape: [])
    try norm.load(dict)
    #expect(try norm(Variable([1, 3], shape: [2, 1])).shape == [2, 1])
  }

  @Test func `Shapes that do not fit are errors, not crashes`() throws {
    let x = try Variable.ones([2, 3])
    let image = try Variable.ones([1, 3, 4, 4])
    let wrong: [() throws -> Variable] = [
      { try x + Variable.ones([2, 4]) }, { try x.matmul(x) }, { try x.reshaped([7]) },
      { try x.reshaped([-1, 4]) }, { try x.permuted([0, 0]) }, { try x.sliced(1..<9) },
      { try Linear(4, 2)(x) }, { try Linear(-1, 2)(x) }, { try Linear(1 << 40, 1 << 40)(x) },
      { try Conv2d(3, 4, kernelSize: 9)(image) }, { try Conv2d(3, 4, kernelSize: 0)(image) },
      { try Conv2d(4, 4, kernelSize: 1)(image) },
      { try Conv2d(3, 4, kernelSize: 1, groups: 2)(image) },
      { try image.conv2d(Variable.ones([2, 3, 1, 1]), stride: 0) },
      { try image.conv2d(Variable.ones([2, 3, 1, 1]), padding: Pair(-1, 1 << 40)) },
      { try image.maxPool2d(0) }, { try image.maxPool2d(9) },
      { try image.avgPool2d(3, padding: 2) },
      { try BatchNorm2d(5)(image) }, { try BatchNorm2d(3)(x) }, { try LayerNorm(4)(x) },
      { try GroupNorm(2, 3)(image) }, { try Embedding(3, 2)(Variable(indices: [3])) },
      { try Embedding(3, 2)(Variable(indices: [-1])) }, { try Embedding(3, 2)(x) },
      { try x.crossEntropy(Variable(indices: [0, 3])) },
      { try x.crossEntropy(Variable(indices: [0])) },
      { try x + Variable(doubles: [1], shape: []) }, { try x.dropout(2) }, { try Module()(x) },
      { try MultiheadAttention(6, numHeads: 4)(x) }, { try MultiheadAttention(6, numHeads: 3)(x) },
      { try Variable.cat([x, image]) }, { try x.reshaped([1 << 40, 1 << 40, -1]) },
      { try Variable.ones([1]).expanded(to: [1 << 40, 1 << 40]) },
      { try image.convTranspose2d(Variable.ones([3, 4, 1, 1]), groups: 1 << 62) },
      { try MultiheadAttention(1 << 62, numHeads: 1)(x) }, { try Variable.cat([]) },
      { try x.softmax(dimension: 2) },
    ]
    let messages = [
      "add: the shapes [2, 3] and [2, 4] do not fit",
      "matmul: the shapes [2, 3] and [2, 3] do not fit",
      "reshape: 6 elements do not fill the shape [7]",
      "reshape: 6 elements do not fill the shape [1, 4]",
      "permute: [0, 0] is no order of 2 dimensions",
      "slice: 1..<9 of a dimension of size 2",
      "linear: an input of shape [2, 3] for a weight of shape [2, 4]",
      "variable: the shape [2, -1] is impossible",
      "variable: the shape [1099511627776, 1099511627776] is impossible",
      "conv2d: the kernel (9, 9) is larger than the image [1, 3, 4, 4]",
      "conv2d: stride, padding, dilation or kernel makes no sense",
      "conv2d: 3 channels in 1 groups for a weight of shape [4, 4, 1, 1]",
      "conv2d: 3 inputs and 4 outputs in 2 groups",
      "conv2d: stride, padding, dilation or kernel makes no sense",
      "conv2d: stride, padding, dilation or kernel makes no sense",
      "max_pool2d: an input of shape [1, 3, 4, 4] with kernel 0 × 0, stride 0 × 0, padding 0 × 0",
      "max_pool2d: the window is larger than the image [1, 3, 4, 4]",
      "avg_pool2d: an input of shape [1, 3, 4, 4] with kernel 3 × 3, stride 3 × 3, padding 2 × 2",
      "batch_norm: an input of shape [1, 3, 4, 4] for [5]",
      "batch_norm: an input of shape [2, 3]",
      "layer_norm: an input of shape [2, 3] for [4]",
      "group_norm: 3 channels in 2 groups",
      "embedding: index 3 into a table of 3 rows",
      "embedding: index -1 into a table of 3 rows",
      "embedding: indices into a table of shape [3, 2]",
      "cross_entropy: target 3 is none of 3 classes",
      "cross_entropy: targets of shape [1] for an input of shape [2, 3]",
      "add: float32 with float64",
      "dropout: 2.0 is no probability",
      "Module has no forward pass that takes one input",
      "multihead_attention: 4 heads for a width of 6",
      "multihead_attention: query [2, 3], key [2, 3], value [2, 3]",
      "cat: [1, 3, 4, 4] beside [2, 3] along 0",
      "variable: the shape [1099511627776, 1099511627776, 1] is impossible",
      "variable: the shape [1099511627776, 1099511627776] is impossible",
      "conv_transpose2d: an input of shape [1, 3, 4, 4] for a weight of shape [3, 4, 1, 1]",
      "multihead_attention: 1 heads for a width of 4611686018427387904",
      "cat: nothing to join",
      "softmax: no dimension 2 in the shape [2, 3]",
    ]
    #expect(
      wrong.map { operation in message(of: TrainingError.self, thrownBy: operation) } == messages)
  }

  private final class Block: Module {
    let conv1: Conv2d
    let bn1: BatchNorm2d
    let layers: [Linear]

    init(_ random: RandomSource) throws {
      conv1 = try Conv2d(3, 4, kernelSize: 3, padding: 1, bias: false, from: random)
      bn1 = try BatchNorm2d(4)
      layers = try [Linear(4, 5, from: random), Linear(5, 3, from: random)]
    }

    override func forward(_ input: Variable) throws -> Variable {
      let pooled = try bn1(conv1(input)).relu().adaptiveAvgPool2d(1).flattened(startDimension: 1)
      return try layers[1](layers[0](pooled).relu())
    }
  }
}
