internal import CCkptTrainingKernels

/// Convolutions in which every group has one channel, plane by plane.
enum DepthwiseConvolution {
  static func canDo(_ g: ConvolutionGeometry) -> Bool {
    g.groups > 1 && g.groupChannels == 1
      && (g.height + 2 * g.padding.0) * (g.width + 2 * g.padding.1) < Int(Int32.max) / 2
  }

  /// Whether the gradients of images are a depthwise convolution of the outputs' gradients.
  static func canDoGradientOfInput(_ g: ConvolutionGeometry) -> Bool {
    canDo(g) && g.stride == (1, 1) && g.padding.0 <= g.dilation.0 * (g.kernel.0 - 1)
      && g.padding.1 <= g.dilation.1 * (g.kernel.1 - 1)
  }

  /// The convolution of one plane.
  private static func kernel(_ g: ConvolutionGeometry) -> ct_convolution {
    ct_convolution(
      channels: 1, height: Int32(g.height + 2 * g.padding.0),
      width: Int32(g.width + 2 * g.padding.1), outputs: 1, kernel_y: Int32(g.kernel.0),
      kernel_x: Int32(g.kernel.1), stride_y: Int32(g.stride.0), stride_x: Int32(g.stride.1),
      dilation_y: Int32(g.dilation.0), dilation_x: Int32(g.dilation.1),
      output_height: Int32(g.outputHeight), output_width: Int32(g.outputWidth))
  }

  static func forward(
    _ g: ConvolutionGeometry, input: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    bias: UnsafePointer<Float>?, output: UnsafeMutablePointer<Float>
  ) throws {
    let kernel = kernel(g)
    let field = g.kernel.0 * g.kernel.1
    try DirectConvolution.withPadded(g, input) { images in
      let plane = Int(kernel.height) * Int(kernel.width)
      ComputeThreads.split(g.batch * g.outputs) { range in
        var kernel = kernel
        for i in range {
          let (image, channel) = (i / g.outputs, i % g.outputs)
          ct_depthwise(
            &kernel, images + (image * g.channels + channel / g.groupOutputs) * plane,
            weight + channel * field, bias?[channel] ?? 0, output + i * g.outputArea)
        }
      }
    }
  }

  static func gradientOfInput(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    into input: UnsafeMutablePointer<Float>
  ) throws {
    let field = g.kernel.0 * g.kernel.1
    var other = g
    (other.channels, other.height, other.width) = (g.outputs, g.outputHeight, g.outputWidth)
    other.padding = (
      g.dilation.0 * (g.kernel.0 - 1) - g.padding.0, g.dilation.1 * (g.kernel.1 - 1) - g.padding.1
    )
    let kernel = kernel(other)
    try DirectConvolution.withPadded(other, gradient) { slopes in
      let plane = Int(kernel.height) * Int(kernel.width)
      ComputeThreads.split(g.batch * g.channels) { range in
        var kernel = kernel
        withUnsafeTemporaryAllocation(of: Float.self, capacity: field) { turned in
          withUnsafeTemporaryAllocation(of: Float.self, capacity: g.inputArea) { part in
            guard let turned = turned.baseAddress, let part = part.baseAddress else { return }
            for i in range {
              let (image, channel) = (i / g.channels, i % g.channels)
              let to = input + i * g.inputArea
              for output in channel * g.groupOutputs..<(channel + 1) * g.groupOutputs {
                for k in 0..<field { turned[k] = weight[output * field + field - 1 - k] }
                let from = slopes + (image * g.outputs + output) * plane
                if output == channel * g.groupOutputs {
                  ct_depthwise(&kernel, from, turned, 0, to)
                } else {
                  ct_depthwise(&kernel, from, turned, 0, part)
                  ct_add(to, part, to, Int64(g.inputArea))
                }
              }
            }
          }
        }
      }
    }
  }

  static func gradientOfWeight(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<Float>, input: UnsafePointer<Float>,
    into weight: UnsafeMutablePointer<Float>
  ) throws {
    let kernel = kernel(g)
    let field = g.kernel.0 * g.kernel.1
    try DirectConvolution.withPadded(g, input) { images in
      let plane = Int(kernel.height) * Int(kernel.width)
      ComputeThreads.split(g.outputs) { range in
        var kernel = kernel
        for channel in range {
          (weight + channel * field).update(repeating: 0, count: field)
          for image in 0..<g.batch {
            ct_depthwise_gradient(
              &kernel, images + (image * g.channels + channel / g.groupOutputs) * plane,
              gradient + (image * g.outputs + channel) * g.outputArea, weight + channel * field)
          }
        }
      }
    }
  }
}
