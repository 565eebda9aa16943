internal import CCkptTrainingKernels

/// Convolutions of float32 without a matrix of patches: the kernels of `CCkptTrainingKernels`
/// gather patches from the padded images while they multiply.
///
/// They are near the processor's peak for all layers of a ResNet, while a matrix product of patches
/// reaches half of it (see `docs/performance-training.md`).
enum DirectConvolution {
  /// Whether the kernels' 32-bit offsets reach every element.
  static func canDo(_ g: ConvolutionGeometry) -> Bool {
    let most = Int(Int32.max) / 2
    let padded = (g.height + 2 * g.padding.0) * (g.width + 2 * g.padding.1)
    return g.groups == 1 && g.batch * g.channels * padded < most
      && g.batch * g.outputs * g.outputArea < most && g.outputs * g.patch < most
      && g.batch * g.outputArea > 0
  }

  /// Whether the gradients of images are a convolution of the outputs' gradients.
  static func canDoGradientOfInput(_ g: ConvolutionGeometry) -> Bool {
    canDo(g) && g.stride == (1, 1) && canDo(transposed(g))
      && g.padding.0 <= g.dilation.0 * (g.kernel.0 - 1)
      && g.padding.1 <= g.dilation.1 * (g.kernel.1 - 1)
  }

  /// The convolution from the outputs' gradients to the gradients of images.
  static func transposed(_ g: ConvolutionGeometry) -> ConvolutionGeometry {
    var other = g
    (other.channels, other.outputs) = (g.outputs, g.channels)
    (other.height, other.width) = (g.outputHeight, g.outputWidth)
    other.padding = (
      g.dilation.0 * (g.kernel.0 - 1) - g.padding.0, g.dilation.1 * (g.kernel.1 - 1) - g.padding.1
    )
    return other
  }

  private static func kernel(_ g: ConvolutionGeometry) -> ct_convolution {
    ct_convolution(
      channels: Int32(g.channels), height: Int32(g.height + 2 * g.padding.0),
      width: Int32(g.width + 2 * g.padding.1), outputs: Int32(g.outputs),
      kernel_y: Int32(g.kernel.0), kernel_x: Int32(g.kernel.1), stride_y: Int32(g.stride.0),
      stride_x: Int32(g.stride.1), dilation_y: Int32(g.dilation.0),
      dilation_x: Int32(g.dilation.1), output_height: Int32(g.outputHeight),
      output_width: Int32(g.outputWidth))
  }

  /// Calls `body` with the images padded with zeros.
  static func withPadded(
    _ g: ConvolutionGeometry, _ images: UnsafePointer<Float>,
    _ body: (UnsafePointer<Float>) throws -> Void
  ) throws {
    if g.padding == (0, 0) { return try body(images) }
    let (height, width) = (g.height + 2 * g.padding.0, g.width + 2 * g.padding.1)
    let memory = try Memory(byteCount: g.batch * g.channels * height * width * 4)
    let padded = memory.pointer.assumingMemoryBound(to: Float.self)
    let planes = g.batch * g.channels
    ComputeThreads.split(planes, grain: max(1, elementGrain / (height * width))) { range in
      for plane in range {
        var to = padded + plane * height * width
        var from = images + plane * g.inputArea
        to.update(repeating: 0, count: g.padding.0 * width + g.padding.1)
        to += g.padding.0 * width + g.padding.1
        for row in 0..<g.height {
          to.update(from: from, count: g.width)
          let isLast = row == g.height - 1
          (to + g.width).update(repeating: 0, count: (isLast ? 1 : 2) * g.padding.1)
          to += width
          from += g.width
        }
        let below = padded + plane * height * width + (g.padding.0 + g.height) * width
        below.update(repeating: 0, count: g.padding.0 * width)
      }
    }
    try body(padded)
    withExtendedLifetime(memory) {}
  }

  static func forward(
    _ g: ConvolutionGeometry, input: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    finish: ct_finish, output: UnsafeMutablePointer<Float>, isPacked: Bool = false
  ) throws {
    let kernel = kernel(g)
    let panels = panelCount(g)
    try withPadded(g, input) { images in
      try withScratch(kernel) { scratch in
        // Threads share the pixels or, if there are few, the output channels.
        let pixels = g.batch * g.outputArea
        let sharesPixels = pixels >= 256 * ComputeThreads.count
        let shares = min(ComputeThreads.count, sharesPixels ? pixels / 32 : panels)
        ComputeThreads.workers(shares) { worker in
          var (first, last) = (0, pixels)
          var (firstPanel, lastPanel) = (0, panels)
          if sharesPixels {
            first = pixels * worker / shares / 32 * 32
            last = worker + 1 == shares ? pixels : pixels * (worker + 1) / shares / 32 * 32
          } else {
            firstPanel = panels * worker / shares
            lastPanel = panels * (worker + 1) / shares
          }
          var (kernel, finish) = (kernel, finish)
          ct_convolve(
            &kernel, images, weight, isPacked ? 1 : 0, &finish, output, Int64(first), Int64(last),
            Int32(firstPanel), Int32(lastPanel), scratch(worker))
        }
      }
    }
  }

  /// The number of panels of output channels.
  private static func panelCount(_ g: ConvolutionGeometry) -> Int {
    let rows = Int(ct_panel_rows())
    return (g.outputs + rows - 1) / rows
  }

  static func gradientOfInput(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    into input: UnsafeMutablePointer<Float>
  ) throws {
    let other = transposed(g)
    let field = g.kernel.0 * g.kernel.1
    let memory = try Memory(
      byteCount: Int(ct_packed_count(Int32(other.outputs), Int32(other.patch))) * 4)
    let packed = memory.pointer.assumingMemoryBound(to: Float.self)
    let grain = max(1, elementGrain / (Int(ct_panel_rows()) * other.patch))
    ComputeThreads.split(panelCount(other), grain: grain) { panels in
      ct_pack_turned(
        weight, Int32(g.outputs), Int32(g.channels), Int32(field), Int32(panels.lowerBound),
        Int32(panels.upperBound), packed)
    }
    try forward(
      other, input: gradient, weight: packed, finish: ct_finish(), output: input, isPacked: true)
    withExtendedLifetime(memory) {}
  }

  static func gradientOfWeight(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<Float>, input: UnsafePointer<Float>,
    into weight: UnsafeMutablePointer<Float>
  ) throws {
    let kernel = kernel(g)
    try withPadded(g, input) { images in
      try withScratch(kernel) { scratch in
        let blocks = (g.patch + 11) / 12
        let shares = min(ComputeThreads.count, blocks)
        ComputeThreads.workers(shares) { worker in
          var kernel = kernel
          ct_weight_gradient(
            &kernel, images, gradient, weight, Int64(g.batch * g.outputArea),
            Int32(blocks * worker / shares * 12),
            Int32(min(g.patch, blocks * (worker + 1) / shares * 12)), scratch(worker))
        }
      }
    }
  }

  /// Calls `body` with a function that returns each thread's scratch memory.
  private static func withScratch(
    _ kernel: ct_convolution, _ body: ((Int) -> UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    var kernel = kernel
    let count = (Int(ct_scratch_count(&kernel)) + 15) / 16 * 16
    let memory = try Memory(byteCount: count * ComputeThreads.count * 4)
    let base = memory.pointer.assumingMemoryBound(to: Float.self)
    try body { base + $0 * count }
    withExtendedLifetime(memory) {}
  }
}
