internal import CCkptTrainingKernels

/// The weights' gradients of 1×1 convolutions of float32: sums over pixels with vectors along the
/// channels, so that no vector's elements are summed, which takes longer than the products if there
/// are many outputs and few pixels.
enum PointwiseConvolution {
  static func canDo(_ g: ConvolutionGeometry) -> Bool {
    g.isPointwise && g.channels >= 16 && g.outputs >= 16 && g.channels <= 1 << 14
      && DirectConvolution.canDo(g)
  }

  static func gradientOfWeight(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<Float>, input: UnsafePointer<Float>,
    into weight: UnsafeMutablePointer<Float>
  ) throws {
    let kernel = ct_pointwise(
      batch: Int32(g.batch), channels: Int32(g.channels), outputs: Int32(g.outputs),
      area: Int32(g.outputArea))
    let lanes = Int(ct_channel_lanes())
    let panels = (g.outputs + lanes - 1) / lanes
    let shares = min(ComputeThreads.count, panels)
    let count = Int(ct_pointwise_scratch_count(kernel.channels))
    let memory = try Memory(byteCount: count * shares * 4)
    let scratch = memory.pointer.assumingMemoryBound(to: Float.self)
    ComputeThreads.workers(shares) { share in
      var kernel = kernel
      ct_pointwise_gradient(
        &kernel, input, gradient, weight, Int32(panels * share / shares),
        Int32(panels * (share + 1) / shares), scratch + share * count)
    }
    withExtendedLifetime(memory) {}
  }
}
