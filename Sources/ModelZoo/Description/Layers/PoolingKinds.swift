internal import TrainingCore

extension LayerKind {
  /// Pooling of images and sequences.
  static let pooling: [LayerKind] = [
    LayerKind(
      "MaxPool2d", "kernel_size stride padding dilation return_indices ceil_mode", required: 1
    ) { arguments, _, _ in
      try arguments.only("return_indices", .flag(false))
      let kernel = try arguments.pair("kernel_size")
      let stride = arguments.has("stride") ? try arguments.pair("stride") : kernel
      let padding = try arguments.pair("padding", 0...4096, or: 0)
      let dilation = try arguments.pair("dilation", or: 1)
      let ceilMode = try arguments.flag("ceil_mode", or: false)
      return DescribedLayer(
        MaxPool2d(kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode),
        images(
          "MaxPool2d", channels: nil, outputs: nil, kernel: kernel, stride: stride,
          padding: padding, dilation: dilation, ceilMode: ceilMode))
    },
    LayerKind("AvgPool2d", "kernel_size stride padding ceil_mode count_include_pad", required: 1) {
      arguments, _, _ in
      let kernel = try arguments.pair("kernel_size")
      let stride = arguments.has("stride") ? try arguments.pair("stride") : kernel
      let padding = try arguments.pair("padding", 0...4096, or: 0)
      let ceilMode = try arguments.flag("ceil_mode", or: false)
      return DescribedLayer(
        AvgPool2d(
          kernel, stride: stride, padding: padding, ceilMode: ceilMode,
          countIncludePad: try arguments.flag("count_include_pad", or: true)),
        images(
          "AvgPool2d", channels: nil, outputs: nil, kernel: kernel, stride: stride,
          padding: padding, ceilMode: ceilMode))
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
      let ceilMode = try arguments.flag("ceil_mode", or: false)
      let pool = MaxPool1d(
        kernel, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
      return DescribedLayer(pool) { shape in
        guard shape.count == 3,
          let length = windows(shape[2], kernel, stride, padding, dilation, ceilMode: ceilMode)
        else { throw fail("MaxPool1d", "rows that are as long as its window", shape) }
        return [shape[0], shape[1], length]
      }
    },
    LayerKind("AvgPool1d", "kernel_size stride padding ceil_mode count_include_pad", required: 1) {
      arguments, _, _ in
      let kernel = try arguments.single("kernel_size")
      let stride = arguments.has("stride") ? try arguments.single("stride") : kernel
      let padding = try arguments.single("padding", 0...4096, or: 0)
      let ceilMode = try arguments.flag("ceil_mode", or: false)
      let pool = AvgPool1d(
        kernel, stride: stride, padding: padding, ceilMode: ceilMode,
        countIncludePad: try arguments.flag("count_include_pad", or: true))
      return DescribedLayer(pool) { shape in
        guard shape.count == 3,
          let length = windows(shape[2], kernel, stride, padding, ceilMode: ceilMode)
        else { throw fail("AvgPool1d", "rows that are as long as its window", shape) }
        return [shape[0], shape[1], length]
      }
    },
    LayerKind("AdaptiveAvgPool1d", "output_size", required: 1) { arguments, _, _ in
      let output = try arguments.single("output_size")
      return DescribedLayer(AdaptiveAvgPool1d(output)) { shape in
        guard shape.count == 3 else { throw fail("AdaptiveAvgPool1d", "rows", shape) }
        return [shape[0], shape[1], output]
      }
    },
  ]
}
