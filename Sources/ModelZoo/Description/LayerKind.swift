internal import StateDicts
internal import TrainingCore

/// A layer that was made, and the shape that it makes of an input's.
struct DescribedLayer {
  let module: Module
  /// What a model takes whose first layer it is; nil where the layer does not tell.
  let input: ModelInput?
  /// How many numbers or channels come out, where that is the layer's own choice.
  let outputs: Int?
  /// Throws `LayerError` for inputs that the layer cannot take.
  let outputShape: ([Int]) throws -> [Int]

  /// A layer whose output has its input's shape, unless told.
  init(
    _ module: Module, input: ModelInput? = nil, outputs: Int? = nil,
    _ outputShape: @escaping ([Int]) throws -> [Int] = { $0 }
  ) {
    self.module = module
    self.input = input
    self.outputs = outputs
    self.outputShape = outputShape
  }
}

/// A kind of layer that descriptions may name, with PyTorch's name, parameters and their order.
struct LayerKind: Sendable {
  let name: String
  let parameters: [String]
  /// So many of the first parameters must be given.
  let required: Int
  /// Whether it has tensors of its own.
  let hasTensors: Bool
  let make: @Sendable (LayerArguments, Allowance, RandomSource) throws -> DescribedLayer

  init(
    _ name: String, _ parameters: String, required: Int = 0, hasTensors: Bool = false,
    _ make: @escaping @Sendable (LayerArguments, Allowance, RandomSource) throws -> DescribedLayer
  ) {
    self.name = name
    self.parameters = parameters.split(separator: " ").map(String.init)
    self.required = required
    self.hasTensors = hasTensors
    self.make = make
  }

  /// All kinds by name.
  static func all() -> [String: LayerKind] {
    Dictionary(
      (weighted + normalizations + composed + activations + pooling + shapes).map { ($0.name, $0) },
      uniquingKeysWith: { first, _ in first })
  }

  // MARK: - Shapes

  private static func fail(_ layer: String, _ wanted: String, _ shape: [Int]) -> LayerError {
    LayerError("\(layer) takes \(wanted), not an input of shape \(shape)")
  }

  /// The size of a dimension after windows of a convolution or a pooling have gone over it.
  private static func windows(
    _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int = 1,
    roundsUp: Bool = false
  ) -> Int? {
    let room = size + 2 * padding - dilation * (kernel - 1) - 1
    guard room >= 0 else { return nil }
    let count = (room + (roundsUp ? stride - 1 : 0)) / stride + 1
    // The last window must begin inside the image or its left margin.
    return roundsUp && (count - 1) * stride >= size + padding ? count - 1 : count
  }

  /// The shape behind windows over the last two dimensions.
  private static func images(
    _ layer: String, channels: Int?, outputs: Int?, kernel: Pair, stride: Pair, padding: Pair,
    dilation: Pair = 1, roundsUp: Bool = false
  ) -> ([Int]) throws -> [Int] {
    { shape in
      let wanted = channels.map { "images of \($0) channels" } ?? "images"
      guard shape.count == 4, channels == nil || shape[1] == channels,
        let height = windows(
          shape[2], kernel.first, stride.first, padding.first, dilation.first, roundsUp: roundsUp),
        let width = windows(
          shape[3], kernel.second, stride.second, padding.second, dilation.second,
          roundsUp: roundsUp)
      else { throw fail(layer, wanted + " that are at least as large as its window", shape) }
      return [shape[0], outputs ?? shape[1], height, width]
    }
  }

  // MARK: - Layers with weights

  private static let weighted: [LayerKind] = [
    LayerKind("Linear", "in_features out_features bias", required: 2, hasTensors: true) {
      arguments, allowance, random in
      let (inputs, outputs) = (
        try arguments.integer("in_features"), try arguments.integer("out_features")
      )
      let bias = try arguments.flag("bias", or: true)
      try allowance.take([outputs, inputs])
      try allowance.take([outputs])
      return DescribedLayer(
        try Linear(inputs, outputs, bias: bias, from: random), input: .features(inputs),
        outputs: outputs
      ) { shape in
        guard shape.last == inputs else {
          throw fail("Linear", "\(inputs) numbers in the last dimension", shape)
        }
        return shape.dropLast() + [outputs]
      }
    },
    LayerKind(
      "Embedding", "num_embeddings embedding_dim padding_idx", required: 2, hasTensors: true
    ) { arguments, allowance, random in
      let (count, width) = (
        try arguments.integer("num_embeddings"), try arguments.integer("embedding_dim")
      )
      let padding =
        arguments.has("padding_idx")
        ? try arguments.integer("padding_idx", -count...count - 1) : nil
      try allowance.take([count, width])
      let layer = try Embedding(
        count, width, paddingIndex: padding.map { $0 < 0 ? $0 + count : $0 }, from: random)
      return DescribedLayer(layer, input: .tokens(vocabulary: count, length: min(16, count))) {
        $0 + [width]
      }
    },
    LayerKind(
      "Conv2d",
      "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode",
      required: 3, hasTensors: true
    ) { arguments, allowance, random in
      let (inputs, outputs) = (
        try arguments.integer("in_channels"), try arguments.integer("out_channels")
      )
      try arguments.only("padding_mode", .word("zeros"))
      let kernel = try arguments.pair("kernel_size")
      let stride = try arguments.pair("stride", or: 1)
      let dilation = try arguments.pair("dilation", or: 1)
      let groups = try groups(arguments, inputs, outputs)
      let padding = try padding(arguments, kernel, stride, dilation)
      try allowance.take([outputs, inputs / groups, kernel.first, kernel.second])
      try allowance.take([outputs])
      let layer = try Conv2d(
        inputs, outputs, kernelSize: kernel, stride: stride, padding: padding, dilation: dilation,
        groups: groups, bias: try arguments.flag("bias", or: true), from: random)
      return DescribedLayer(
        layer, input: .images(channels: inputs, size: 64), outputs: outputs,
        images(
          "Conv2d", channels: inputs, outputs: outputs, kernel: kernel, stride: stride,
          padding: padding, dilation: dilation))
    },
    LayerKind(
      "Conv1d",
      "in_channels out_channels kernel_size stride padding dilation groups bias padding_mode",
      required: 3, hasTensors: true
    ) { arguments, allowance, random in
      let (inputs, outputs) = (
        try arguments.integer("in_channels"), try arguments.integer("out_channels")
      )
      try arguments.only("padding_mode", .word("zeros"))
      let kernel = try arguments.single("kernel_size")
      let stride = try arguments.single("stride", or: 1)
      let dilation = try arguments.single("dilation", or: 1)
      let groups = try groups(arguments, inputs, outputs)
      let padding = try arguments.single("padding", 0...4096, or: 0)
      try allowance.take([outputs, inputs / groups, kernel])
      try allowance.take([outputs])
      let layer = try Conv1d(
        inputs, outputs, kernelSize: kernel, stride: stride, padding: padding, dilation: dilation,
        groups: groups, bias: try arguments.flag("bias", or: true), from: random)
      return DescribedLayer(layer, input: .numbers([inputs, 64]), outputs: outputs) { shape in
        guard shape.count == 3, shape[1] == inputs,
          let length = windows(shape[2], kernel, stride, padding, dilation)
        else {
          throw fail("Conv1d", "rows of \(inputs) channels that are as long as its window", shape)
        }
        return [shape[0], outputs, length]
      }
    },
    LayerKind(
      "ConvTranspose2d",
      "in_channels out_channels kernel_size stride padding output_padding groups bias dilation padding_mode",
      required: 3, hasTensors: true
    ) { arguments, allowance, random in
      let (inputs, outputs) = (
        try arguments.integer("in_channels"), try arguments.integer("out_channels")
      )
      try arguments.only("padding_mode", .word("zeros"))
      let kernel = try arguments.pair("kernel_size")
      let stride = try arguments.pair("stride", or: 1)
      let dilation = try arguments.pair("dilation", or: 1)
      let groups = try groups(arguments, inputs, outputs)
      let padding = try arguments.pair("padding", 0...4096, or: 0)
      let extra = try arguments.pair("output_padding", 0...4096, or: 0)
      try allowance.take([inputs, outputs / groups, kernel.first, kernel.second])
      try allowance.take([outputs])
      let layer = try ConvTranspose2d(
        inputs, outputs, kernelSize: kernel, stride: stride, padding: padding,
        outputPadding: extra, dilation: dilation, groups: groups,
        bias: try arguments.flag("bias", or: true), from: random)
      return DescribedLayer(layer, input: .images(channels: inputs, size: 64), outputs: outputs) {
        shape in
        guard shape.count == 4, shape[1] == inputs, shape[2] > 0, shape[3] > 0 else {
          throw fail("ConvTranspose2d", "images of \(inputs) channels", shape)
        }
        let height =
          (shape[2] - 1) * stride.first - 2 * padding.first + dilation.first * (kernel.first - 1)
          + extra.first + 1
        let width =
          (shape[3] - 1) * stride.second - 2 * padding.second
          + dilation.second * (kernel.second - 1) + extra.second + 1
        guard height > 0, width > 0 else { throw fail("ConvTranspose2d", "larger images", shape) }
        return [shape[0], outputs, height, width]
      }
    },
    LayerKind(
      "MultiheadAttention", "embed_dim num_heads dropout bias batch_first", required: 2,
      hasTensors: true
    ) { arguments, allowance, random in
      let width = try arguments.integer("embed_dim", 1...(1 << 20))
      let heads = try arguments.integer("num_heads", 1...width)
      // Batches are first in everything that is described.
      try arguments.only("batch_first", .flag(true))
      guard width % heads == 0 else {
        throw LayerError("MultiheadAttention: \(heads) heads do not share a width of \(width)")
      }
      try allowance.take([4 * width, width])
      let layer = try MultiheadAttention(
        width, heads: heads, dropout: try arguments.number("dropout", 0...1, or: 0),
        bias: try arguments.flag("bias", or: true), from: random)
      return DescribedLayer(layer) { shape in
        guard shape.count == 3, shape[2] == width else {
          throw fail("MultiheadAttention", "[batch, tokens, \(width)]", shape)
        }
        return shape
      }
    },
  ]

  private static func groups(_ arguments: LayerArguments, _ inputs: Int, _ outputs: Int) throws
    -> Int
  {
    let groups = try arguments.integer("groups", or: 1)
    guard inputs % groups == 0, outputs % groups == 0 else {
      throw LayerError(
        "\(arguments.layer): \(inputs) and \(outputs) channels do not share \(groups) groups")
    }
    return groups
  }

  /// Numbers, or `same`, or `valid`.
  private static func padding(
    _ arguments: LayerArguments, _ kernel: Pair, _ stride: Pair, _ dilation: Pair
  ) throws -> Pair {
    switch arguments["padding"] {
    case .word("valid"): return 0
    case .word("same"):
      let total = Pair(
        dilation.first * (kernel.first - 1), dilation.second * (kernel.second - 1))
      guard stride == 1, total.first % 2 == 0, total.second % 2 == 0 else {
        throw LayerError("\(arguments.layer): padding same needs an odd kernel and stride 1 here")
      }
      return Pair(total.first / 2, total.second / 2)
    default: return try arguments.pair("padding", 0...4096, or: 0)
    }
  }

  // MARK: - Normalisations

  private static let normalizations: [LayerKind] = [
    batchNorm("BatchNorm1d", ranks: 2...3) {
      try BatchNorm1d($0, epsilon: $1, momentum: $2, affine: $3, tracksStatistics: $4)
    },
    batchNorm("BatchNorm2d", ranks: 4...4) {
      try BatchNorm2d($0, epsilon: $1, momentum: $2, affine: $3, tracksStatistics: $4)
    },
    LayerKind(
      "LayerNorm", "normalized_shape eps elementwise_affine bias", required: 1, hasTensors: true
    ) { arguments, allowance, random in
      let over = try arguments.shape("normalized_shape")
      try allowance.take(over)
      let layer = try LayerNorm(
        over, epsilon: try arguments.epsilon(),
        affine: try arguments.flag("elementwise_affine", or: true),
        bias: try arguments.flag("bias", or: true))
      return DescribedLayer(layer, ending("LayerNorm", in: over))
    },
    LayerKind("RMSNorm", "normalized_shape eps elementwise_affine", required: 1, hasTensors: true) {
      arguments, allowance, random in
      let over = try arguments.shape("normalized_shape")
      try allowance.take(over)
      let layer = try RMSNorm(
        over, epsilon: arguments.has("eps") ? try arguments.epsilon() : nil,
        affine: try arguments.flag("elementwise_affine", or: true))
      return DescribedLayer(layer, ending("RMSNorm", in: over))
    },
    LayerKind("GroupNorm", "num_groups num_channels eps affine", required: 2, hasTensors: true) {
      arguments, allowance, random in
      let channels = try arguments.integer("num_channels")
      let groups = try arguments.integer("num_groups", 1...channels)
      guard channels % groups == 0 else {
        throw LayerError("GroupNorm: \(channels) channels do not share \(groups) groups")
      }
      try allowance.take([channels])
      let layer = try GroupNorm(
        groups, channels, epsilon: try arguments.epsilon(),
        affine: try arguments.flag("affine", or: true))
      return DescribedLayer(layer) { shape in
        guard shape.count >= 2, shape[1] == channels else {
          throw fail("GroupNorm", "\(channels) channels in the second dimension", shape)
        }
        return shape
      }
    },
  ]

  /// Layers of other libraries, and of several parts.
  private static let composed: [LayerKind] = [
    LayerKind("LayerNorm2d", "normalized_shape eps", required: 1, hasTensors: true) {
      arguments, allowance, random in
      let channels = try arguments.single("normalized_shape", LayerArguments.sizes)
      try allowance.take([channels])
      return DescribedLayer(
        try LayerNorm2d(channels, epsilon: try arguments.epsilon(or: 1e-6))
      ) { shape in
        guard shape.count == 4, shape[1] == channels else {
          throw fail("LayerNorm2d", "images of \(channels) channels", shape)
        }
        return shape
      }
    },
    LayerKind(
      "TransformerEncoderLayer",
      "d_model nhead dim_feedforward dropout activation layer_norm_eps batch_first norm_first bias",
      required: 2, hasTensors: true
    ) { arguments, allowance, random in
      let width = try arguments.integer("d_model", 1...(1 << 20))
      let heads = try arguments.integer("nhead", 1...width)
      let hidden = try arguments.integer("dim_feedforward", or: 2048)
      guard width % heads == 0 else {
        throw LayerError("TransformerEncoderLayer: \(heads) heads do not share a width of \(width)")
      }
      try arguments.only("batch_first", .flag(true))
      try allowance.take([4 * width + 2 * hidden + 16, width])
      let layer = try TransformerEncoderLayer(
        width, heads: heads, hidden: hidden,
        dropout: try arguments.number("dropout", 0...1, or: 0.1),
        usesGELU: try arguments.word("activation", ["relu", "gelu"], or: "relu") == "gelu",
        epsilon: try arguments.number("layer_norm_eps", 0...1, or: 1e-5),
        normsFirst: try arguments.flag("norm_first", or: false),
        bias: try arguments.flag("bias", or: true), from: random)
      return DescribedLayer(layer) { shape in
        guard shape.count == 3, shape[2] == width else {
          throw fail("TransformerEncoderLayer", "[batch, tokens, \(width)]", shape)
        }
        return shape
      }
    },
  ]

  private static func batchNorm(
    _ name: String, ranks: ClosedRange<Int>,
    _ make: @escaping @Sendable (Int, Double, Double?, Bool, Bool) throws -> BatchNorm
  ) -> LayerKind {
    LayerKind(
      name, "num_features eps momentum affine track_running_stats", required: 1, hasTensors: true
    ) { arguments, allowance, random in
      let channels = try arguments.integer("num_features")
      try allowance.take([2, channels])
      try allowance.takeBuffer([2, channels])
      let momentum =
        arguments["momentum"] == SizeValue.none
        ? nil : try arguments.number("momentum", 0...1, or: 0.1)
      let layer = try make(
        channels, try arguments.epsilon(), momentum, try arguments.flag("affine", or: true),
        try arguments.flag("track_running_stats", or: true))
      return DescribedLayer(layer) { shape in
        guard ranks.contains(shape.count), shape[1] == channels else {
          throw fail(name, "\(channels) channels in the second of its dimensions", shape)
        }
        return shape
      }
    }
  }

  private static func ending(_ layer: String, in over: [Int]) -> ([Int]) throws -> [Int] {
    { shape in
      guard shape.count >= over.count, Array(shape.suffix(over.count)) == over else {
        throw fail(layer, "\(over) in the last dimensions", shape)
      }
      return shape
    }
  }

  // MARK: - Without weights

  private static let activations: [LayerKind] = [
    LayerKind("ReLU", "inplace") { _, _, _ in DescribedLayer(ReLU()) },
    LayerKind("ReLU6", "inplace") { _, _, _ in DescribedLayer(ReLU6()) },
    LayerKind("SiLU", "inplace") { _, _, _ in DescribedLayer(SiLU()) },
    LayerKind("Hardswish", "inplace") { _, _, _ in DescribedLayer(Hardswish()) },
    LayerKind("Hardsigmoid", "inplace") { _, _, _ in DescribedLayer(Hardsigmoid()) },
    LayerKind("Sigmoid", "") { _, _, _ in DescribedLayer(Sigmoid()) },
    LayerKind("Tanh", "") { _, _, _ in DescribedLayer(Tanh()) },
    LayerKind("LeakyReLU", "negative_slope inplace") { arguments, _, _ in
      DescribedLayer(LeakyReLU(try arguments.number("negative_slope", 0...1, or: 0.01)))
    },
    LayerKind("GELU", "approximate") { arguments, _, _ in
      let form = try arguments.word("approximate", ["none", "tanh"], or: "none")
      return DescribedLayer(GELU(form == "tanh" ? .tanh : .none))
    },
    LayerKind("Softmax", "dim", required: 1) { arguments, _, _ in
      DescribedLayer(Softmax(dimension: try arguments.integer("dim", -8...7)))
    },
    LayerKind("Dropout", "p inplace") { arguments, _, random in
      DescribedLayer(Dropout(try arguments.number("p", 0...1, or: 0.5), from: random))
    },
    LayerKind("Identity", "") { _, _, _ in DescribedLayer(Identity()) },
  ]

  private static let pooling: [LayerKind] = [
    LayerKind(
      "MaxPool2d", "kernel_size stride padding dilation return_indices ceil_mode", required: 1
    ) { arguments, _, _ in
      try arguments.only("return_indices", .flag(false))
      let kernel = try arguments.pair("kernel_size")
      let stride = arguments.has("stride") ? try arguments.pair("stride") : kernel
      let padding = try arguments.pair("padding", 0...4096, or: 0)
      let dilation = try arguments.pair("dilation", or: 1)
      let roundsUp = try arguments.flag("ceil_mode", or: false)
      return DescribedLayer(
        MaxPool2d(kernel, stride: stride, padding: padding, dilation: dilation, roundsUp: roundsUp),
        images(
          "MaxPool2d", channels: nil, outputs: nil, kernel: kernel, stride: stride,
          padding: padding, dilation: dilation, roundsUp: roundsUp))
    },
    LayerKind("AvgPool2d", "kernel_size stride padding ceil_mode count_include_pad", required: 1) {
      arguments, _, _ in
      let kernel = try arguments.pair("kernel_size")
      let stride = arguments.has("stride") ? try arguments.pair("stride") : kernel
      let padding = try arguments.pair("padding", 0...4096, or: 0)
      let roundsUp = try arguments.flag("ceil_mode", or: false)
      return DescribedLayer(
        AvgPool2d(
          kernel, stride: stride, padding: padding, roundsUp: roundsUp,
          countsPadding: try arguments.flag("count_include_pad", or: true)),
        images(
          "AvgPool2d", channels: nil, outputs: nil, kernel: kernel, stride: stride,
          padding: padding, roundsUp: roundsUp))
    },
    LayerKind("AdaptiveAvgPool2d", "output_size", required: 1) { arguments, _, _ in
      let output = try arguments.pair("output_size")
      return DescribedLayer(AdaptiveAvgPool2d(output)) { shape in
        guard shape.count == 4 else { throw fail("AdaptiveAvgPool2d", "images", shape) }
        return [shape[0], shape[1], output.first, output.second]
      }
    },
    LayerKind(
      "MaxPool1d", "kernel_size stride padding dilation return_indices ceil_mode", required: 1
    ) { arguments, _, _ in
      try arguments.only("return_indices", .flag(false))
      let kernel = try arguments.single("kernel_size")
      let stride = arguments.has("stride") ? try arguments.single("stride") : kernel
      let padding = try arguments.single("padding", 0...4096, or: 0)
      let dilation = try arguments.single("dilation", or: 1)
      let roundsUp = try arguments.flag("ceil_mode", or: false)
      let pool = MaxPool2d(
        Pair(1, kernel), stride: Pair(1, stride), padding: Pair(0, padding),
        dilation: Pair(1, dilation), roundsUp: roundsUp)
      return DescribedLayer(OverRows(pool)) { shape in
        guard shape.count == 3,
          let length = windows(shape[2], kernel, stride, padding, dilation, roundsUp: roundsUp)
        else { throw fail("MaxPool1d", "rows that are as long as its window", shape) }
        return [shape[0], shape[1], length]
      }
    },
    LayerKind("AvgPool1d", "kernel_size stride padding ceil_mode count_include_pad", required: 1) {
      arguments, _, _ in
      let kernel = try arguments.single("kernel_size")
      let stride = arguments.has("stride") ? try arguments.single("stride") : kernel
      let padding = try arguments.single("padding", 0...4096, or: 0)
      let roundsUp = try arguments.flag("ceil_mode", or: false)
      let pool = AvgPool2d(
        Pair(1, kernel), stride: Pair(1, stride), padding: Pair(0, padding), roundsUp: roundsUp,
        countsPadding: try arguments.flag("count_include_pad", or: true))
      return DescribedLayer(OverRows(pool)) { shape in
        guard shape.count == 3,
          let length = windows(shape[2], kernel, stride, padding, roundsUp: roundsUp)
        else { throw fail("AvgPool1d", "rows that are as long as its window", shape) }
        return [shape[0], shape[1], length]
      }
    },
    LayerKind("AdaptiveAvgPool1d", "output_size", required: 1) { arguments, _, _ in
      let output = try arguments.single("output_size")
      return DescribedLayer(OverRows(AdaptiveAvgPool2d(Pair(1, output)))) { shape in
        guard shape.count == 3 else { throw fail("AdaptiveAvgPool1d", "rows", shape) }
        return [shape[0], shape[1], output]
      }
    },
  ]

  private static let shapes: [LayerKind] = [
    LayerKind("Flatten", "start_dim end_dim") { arguments, _, _ in
      let first = try arguments.integer("start_dim", -8...7, or: 1)
      let last = try arguments.integer("end_dim", -8...7, or: -1)
      return DescribedLayer(Flatten(from: first, to: last))
    },
    LayerKind("Permute", "dims", required: 1) { arguments, _, _ in
      guard case .list(let items)? = arguments["dims"] else {
        throw LayerError("Permute takes a list of dimensions, as in Permute([0, 2, 3, 1])")
      }
      let order = try items.map { item in
        guard case .integer(let place) = item, (-8...7).contains(place) else {
          throw LayerError("Permute takes a list of dimensions, as in Permute([0, 2, 3, 1])")
        }
        return place
      }
      return DescribedLayer(Permute(order))
    },
  ]
}
