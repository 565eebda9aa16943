import CkptStateDicts
import CkptTestSupport
import Testing
import TrainingCore

/// Every layer against PyTorch: outputs, gradients of inputs and parameters, buffers after.
@Suite struct LayerTests {
  /// The layers of `fixtures/training.py`, by the cases' names.
  static let layers: [(name: String, make: @Sendable () throws -> Module)] = [
    ("linear", { try Linear(5, 7) }),
    ("linear_3d_no_bias", { try Linear(5, 7, bias: false) }),
    ("conv1d", { try Conv1d(4, 6, kernelSize: 3, stride: 2, padding: 2, dilation: 2, groups: 2) }),
    ("conv2d", { try Conv2d(3, 4, kernelSize: 3) }),
    (
      "conv2d_stride_padding",
      { try Conv2d(3, 4, kernelSize: 3, stride: 2, padding: 1, bias: false) }
    ),
    ("conv2d_stem", { try Conv2d(3, 4, kernelSize: 7, stride: 2, padding: 3, bias: false) }),
    ("conv2d_pointwise", { try Conv2d(5, 4, kernelSize: 1) }),
    ("conv2d_pointwise_stride", { try Conv2d(5, 4, kernelSize: 1, stride: 2, bias: false) }),
    (
      "conv2d_dilated",
      { try Conv2d(2, 3, kernelSize: Pair(3, 2), padding: Pair(2, 1), dilation: Pair(2, 3)) }
    ),
    ("conv2d_groups", { try Conv2d(4, 6, kernelSize: 3, padding: 1, groups: 2) }),
    ("conv2d_depthwise", { try Conv2d(6, 6, kernelSize: 3, padding: 1, groups: 6, bias: false) }),
    (
      "conv2d_depthwise_stride",
      { try Conv2d(6, 6, kernelSize: 3, stride: 2, padding: 1, groups: 6) }
    ),
    ("conv2d_depthwise_two", { try Conv2d(3, 6, kernelSize: 5, padding: 2, groups: 3) }),
    ("conv2d_same_3x3", { try Conv2d(16, 24, kernelSize: 3, padding: 1, bias: false) }),
    ("conv_transpose2d", { try ConvTranspose2d(4, 3, kernelSize: 3) }),
    (
      "conv_transpose2d_options",
      {
        try ConvTranspose2d(
          4, 6, kernelSize: Pair(3, 2), stride: 2, padding: 1, outputPadding: 1, groups: 2)
      }
    ),
    ("batch_norm2d", { try BatchNorm2d(4) }),
    ("batch_norm2d_eval", { try BatchNorm2d(4).eval() }),
    ("batch_norm2d_bare", { try BatchNorm2d(4, affine: false, trackRunningStats: false) }),
    ("batch_norm2d_mean", { try BatchNorm2d(4, epsilon: 1e-3, momentum: nil) }),
    ("batch_norm1d", { try BatchNorm1d(5, momentum: 0.3) }),
    ("batch_norm1d_3d", { try BatchNorm1d(5) }),
    ("layer_norm", { try LayerNorm(9) }),
    ("layer_norm_two", { try LayerNorm([3, 4], epsilon: 1e-6) }),
    ("layer_norm_no_bias", { try LayerNorm([9], bias: false) }),
    ("layer_norm_bare", { try LayerNorm([9], elementwiseAffine: false) }),
    ("rms_norm", { try RMSNorm([8]) }),
    ("rms_norm_eps", { try RMSNorm([2, 4], epsilon: 1e-2) }),
    ("group_norm", { try GroupNorm(3, 6) }),
    ("group_norm_rows", { try GroupNorm(2, 6, epsilon: 1e-3) }),
    ("embedding", { try Embedding(7, 4, paddingIndex: 2) }),
    ("max_pool2d", { MaxPool2d(3, stride: 2, padding: 1) }),
    (
      "max_pool2d_options",
      { MaxPool2d(Pair(2, 3), stride: Pair(2, 1), dilation: Pair(2, 1), ceilMode: true) }
    ),
    ("avg_pool2d", { AvgPool2d(3, stride: 2, padding: 1) }),
    (
      "avg_pool2d_options",
      { AvgPool2d(3, stride: 2, padding: 1, ceilMode: true, countIncludePad: false) }
    ),
    ("adaptive_avg_pool2d", { AdaptiveAvgPool2d(Pair(3, 2)) }),
    ("adaptive_avg_pool2d_one", { AdaptiveAvgPool2d(1) }),
    ("relu", { ReLU() }),
    ("gelu", { GELU() }),
    ("gelu_tanh", { GELU(.tanh) }),
    ("silu", { SiLU() }),
    ("sigmoid", { Sigmoid() }),
    ("tanh", { Tanh() }),
    ("softmax", { Softmax() }),
    ("softmax_1", { Softmax(dimension: 1) }),
    ("flatten", { Flatten() }),
  ]

  @Test(arguments: layers.map(\.name))
  func `A layer gives PyTorch's outputs and gradients`(name: String) throws {
    let fixture = try TrainingFixture("layers")
    let layer = try #require(Self.layers.first { $0.name == name }).make()
    try layer.load(fixture.dict("\(name)/param"))
    let inputs = try fixture.inputs(name)
    let output = try layer(inputs[0])
    try expectClose(output, fixture.need("\(name)/output"), "output")
    try output.backward(gradient: fixture.need("\(name)/gradient"))
    for (key, tensor) in try fixture.dict("\(name)/grad").tensors {
      let found =
        key == "input0"
        ? inputs[0].grad : layer.namedParameters.first { $0.key == key }?.parameter.grad
      try expectClose(found, Variable(tensor), "gradient of \(key)")
    }
    let after = try fixture.dict("\(name)/after")
    for (key, buffer) in layer.namedBuffers {
      try expectClose(buffer, Variable(#require(after[key])), key)
    }
  }

  @Test(arguments: layers.map(\.name))
  func `A layer's gradients in float64 are quotients of differences`(name: String) throws {
    let fixture = try TrainingFixture("layers")
    let layer = try #require(Self.layers.first { $0.name == name }).make()
    try layer.load(fixture.dict("\(name)/param"))
    try layer.convert(to: .float64)
    let input = try fixture.inputs(name)[0]
    try checkGradients(layer: layer, input: input)
  }

  @Test(arguments: [
    "attention_self", "attention_cross", "attention_masked", "attention_added", "attention_padded",
  ])
  func `Attention gives PyTorch's outputs and gradients`(name: String) throws {
    let fixture = try TrainingFixture("layers")
    let attention = try MultiheadAttention(8, numHeads: 2)
    try attention.load(fixture.dict("attention/param"))
    let inputs = try fixture.inputs(name)
    let all = inputs.count == 1 ? [inputs[0], inputs[0], inputs[0]] : inputs
    let mask = try fixture.variable("\(name)/mask")
    let output = try attention.forward(
      query: all[0], key: all[1], value: all[2],
      attentionMask: name == "attention_padded" ? nil : mask,
      keyPaddingMask: name == "attention_padded" ? mask : nil)
    try expectClose(output, fixture.need("\(name)/output"), "output")
    try output.backward(gradient: fixture.need("\(name)/gradient"))
    for (key, tensor) in try fixture.dict("\(name)/grad").tensors {
      let found =
        key.hasPrefix("input")
        ? inputs[Int(key.dropFirst(5)) ?? 0].grad
        : attention.namedParameters.first { $0.key == key }?.parameter.grad
      try expectClose(found, Variable(tensor), "gradient of \(key)")
    }
  }

  @Test func `Every case of the fixture is tested`() throws {
    let cases = try TrainingFixture("layers").cases
    #expect(
      Set(cases.filter { !$0.hasPrefix("attention") }) == Set(Self.layers.map(\.name)))
  }
}

/// Compares gradients with central differences of Σ output · weights, in 64 bits, at up to twenty
/// elements of the input and of each parameter.
func checkGradients(layer: Module, input: Variable) throws {
  let isNumbers = input.scalarType.isFloatingPoint
  let x = isNumbers ? try Variable(doubles: input.doubles(), shape: input.shape) : input
  x.requiresGrad = true
  // Running statistics move with each forward pass in training; they do not enter its outputs.
  let weights = try Variable.normal(
    layer(x).shape, .float64, from: RandomSource(seed: 3))
  func total() throws -> Double { try (layer(x) * weights).sum().item() }
  try (layer(x) * weights).sum().backward()
  let checked: [(String, Variable)] =
    (isNumbers ? [("input", x)] : []) + layer.namedParameters.map { ($0.key, $0.parameter) }
  for (key, variable) in checked {
    let gradient = try #require(variable.grad, "\(key)").doubles()
    let values = try variable.doubles()
    let step = 1e-6
    for i in stride(from: 0, to: values.count, by: max(1, values.count / 20)) {
      func loss(_ change: Double) throws -> Double {
        var moved = values
        moved[i] += change
        try variable.copy(from: Variable(doubles: moved, shape: variable.shape))
        return try total()
      }
      let slope = try (loss(step) - loss(-step)) / (2 * step)
      // An embedding's padding row gets no gradient, whatever the difference says.
      if let embedding = layer as? Embedding, let padding = embedding.paddingIndex,
        key == "weight", i / embedding.weight.shape[1] == padding
      {
        #expect(gradient[i] == 0)
        continue
      }
      #expect(
        abs(slope - gradient[i]) <= 1e-6 * max(1, abs(slope)), "\(key)[\(i)]: \(slope)")
    }
    try variable.copy(from: Variable(doubles: values, shape: variable.shape))
  }
}
