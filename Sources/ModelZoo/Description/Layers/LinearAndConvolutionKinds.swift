internal import TrainingCore

extension LayerKind {
  /// Linear layers, embeddings and convolutions.
  static let weighted: [LayerKind] = [
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
      let (inputs, outputs) = try channels(arguments)
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
      let (inputs, outputs) = try channels(arguments)
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
      let (inputs, outputs) = try channels(arguments)
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
  ]

  /// The numbers of channels of a convolution, whose padding is zeros.
  private static func channels(_ arguments: LayerArguments) throws -> (inputs: Int, outputs: Int) {
    let channels = (try arguments.integer("in_channels"), try arguments.integer("out_channels"))
    try arguments.only("padding_mode", .word("zeros"))
    return channels
  }

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

  /// The padding of a convolution: one or two integers, `same` or `valid`.
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
}
