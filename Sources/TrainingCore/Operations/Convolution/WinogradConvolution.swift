internal import CCkptTrainingKernels

/// 3×3 convolutions of float32 with a quarter of the multiplications: Winograd's algorithm F(4×4,
/// 3×3) (Lavin and Gray, arXiv:1509.09308).
///
/// Rounding errors are about five times those of plain sums: 1e-6 of the largest output. A NaN or
/// an infinity in an image makes all outputs of its 4×4 tiles NaN.
enum WinogradConvolution {
  /// Whether the convolution is supported and faster than by ``DirectConvolution``.
  static func isBetter(_ g: ConvolutionGeometry) -> Bool {
    // Tiles are multiplied in eights.
    canDo(g)
      && isBetter(g, tiles: (rowCount(g) * tileCount(g.outputWidth) + 7) / 8 * 8, kernel: 250)
  }

  /// Whether that is so for the gradients of images.
  static func isBetterForInput(_ g: ConvolutionGeometry) -> Bool {
    canDo(g) && isBetter(DirectConvolution.transposed(g))
  }

  /// Whether that is so for the gradients of weights.
  static func isBetterForWeight(_ g: ConvolutionGeometry) -> Bool {
    canDo(g) && isBetter(g, tiles: rowCount(g) * tileCount(g.outputWidth), kernel: 100)
  }

  private static func canDo(_ g: ConvolutionGeometry) -> Bool {
    g.kernel == (3, 3) && g.stride == (1, 1) && g.dilation == (1, 1) && g.padding.0 <= 2
      && g.padding.1 <= 2 && max(g.height, g.width) < 1 << 16 && DirectConvolution.canDo(g)
  }

  /// By measurements, a tile takes the time of 48 multiplications, and transforming a kernel that
  /// of `kernel`.
  private static func isBetter(_ g: ConvolutionGeometry, tiles: Int, kernel: Int) -> Bool {
    let lanes = Int(ct_channel_lanes())
    let pairs = panelCount(g.channels) * lanes * panelCount(g.outputs) * lanes
    return pairs * (48 * tiles + kernel) < g.batch * g.outputArea * g.outputs * g.patch
  }

  private static func tileCount(_ pixels: Int) -> Int { (pixels + 3) / 4 }

  /// Rows of tiles in all images.
  private static func rowCount(_ g: ConvolutionGeometry) -> Int {
    g.batch * tileCount(g.outputHeight)
  }

  private static func kernel(_ g: ConvolutionGeometry) -> ct_winograd {
    ct_winograd(
      channels: Int32(g.channels), height: Int32(g.height), width: Int32(g.width),
      outputs: Int32(g.outputs), output_height: Int32(g.outputHeight),
      output_width: Int32(g.outputWidth), padding_y: Int32(g.padding.0),
      padding_x: Int32(g.padding.1))
  }

  private static func panelCount(_ channels: Int) -> Int {
    let lanes = Int(ct_channel_lanes())
    return (channels + lanes - 1) / lanes
  }

  static func forward(
    _ g: ConvolutionGeometry, input: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    finish: ct_finish, output: UnsafeMutablePointer<Float>
  ) throws {
    try convolve(g, input: input, weight: weight, isTurned: false, finish: finish, output: output)
  }

  static func gradientOfInput(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    into input: UnsafeMutablePointer<Float>
  ) throws {
    try convolve(
      DirectConvolution.transposed(g), input: gradient, weight: weight, isTurned: true,
      finish: ct_finish(), output: input)
  }

  private static func convolve(
    _ g: ConvolutionGeometry, input: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    isTurned: Bool, finish: ct_finish, output: UnsafeMutablePointer<Float>
  ) throws {
    var kernel = kernel(g)
    let (rows, tiles, panels) = (rowCount(g), tileCount(g.outputWidth), panelCount(g.outputs))
    let turned: Int32 = isTurned ? 1 : 0
    let threads = ComputeThreads.count
    // If all tiles fit the third-level cache, threads share the outputs and transform kernels when
    // they need them; else they share the tiles, and all kernels are transformed before.
    let sharesOutputs = rows * tiles * g.channels <= 1 << 15
    let panelShares = sharesOutputs ? min(threads, panels) : 1
    let rowShares = min(max(1, threads / panelShares), rows)
    let block = sharesOutputs ? rows : min(rows, max(1, 64 / tiles))
    var packed: Memory?
    if !sharesOutputs {
      let memory = try Memory(byteCount: panels * Int(ct_winograd_kernels_count(&kernel)) * 4)
      let kernels = memory.pointer.assumingMemoryBound(to: Float.self)
      ComputeThreads.split(panels) { range in
        var kernel = kernel
        ct_winograd_kernels(
          &kernel, weight, turned, Int32(range.lowerBound), Int32(range.upperBound), kernels)
      }
      packed = memory
    }
    let kernels = packed.map { UnsafePointer($0.pointer.assumingMemoryBound(to: Float.self)) }
    let scratch = Int(ct_winograd_scratch_count(&kernel, Int32(block)))
    try withScratch(scratch, panelShares * rowShares) { memory in
      ComputeThreads.workers(panelShares * rowShares) { worker in
        var (kernel, finish) = (kernel, finish)
        let (row, panel) = (worker / panelShares, worker % panelShares)
        ct_winograd_convolve(
          &kernel, input, weight, turned, kernels, &finish, output, Int32(rows * row / rowShares),
          Int32(rows * (row + 1) / rowShares), Int32(panels * panel / panelShares),
          Int32(panels * (panel + 1) / panelShares), Int32(block), memory(worker))
      }
    }
    withExtendedLifetime(packed) {}
  }

  static func gradientOfWeight(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<Float>, input: UnsafePointer<Float>,
    into weight: UnsafeMutablePointer<Float>
  ) throws {
    var kernel = kernel(g)
    let (rows, tiles) = (rowCount(g), tileCount(g.outputWidth))
    let (channelPanels, outputPanels) = (panelCount(g.channels), panelCount(g.outputs))
    // The number of tiles at a time is such that a panel of images and one of gradients stay in the
    // nearest caches.
    let block = min(rows, max(1, 192 / tiles))
    let length = block * tiles
    let images = try Memory(
      byteCount: Int(ct_winograd_points_count(Int32(g.channels), Int64(length))) * 4)
    let slopes = try Memory(
      byteCount: Int(ct_winograd_points_count(Int32(g.outputs), Int64(length))) * 4)
    let imagePoints = images.pointer.assumingMemoryBound(to: Float.self)
    let slopePoints = slopes.pointer.assumingMemoryBound(to: Float.self)
    let lanes = Int(ct_channel_lanes())
    let scratch = Int(ct_winograd_layout_count(&kernel))
    let shares = ComputeThreads.count
    try withScratch(scratch, shares) { memory in
      for first in stride(from: 0, to: rows, by: block) {
        let count = min(block, rows - first)
        ComputeThreads.workers(min(shares, count)) { worker in
          var kernel = kernel
          let shares = min(shares, count)
          let (start, end) = (count * worker / shares, count * (worker + 1) / shares)
          let (from, to) = (Int32(first + start), Int32(first + end))
          let offset = start * tiles * lanes
          ct_winograd_images(
            &kernel, input, from, to, Int64(length), imagePoints + offset, memory(worker))
          ct_winograd_slopes(
            &kernel, gradient, from, to, Int64(length), slopePoints + offset, memory(worker))
        }
        let pairs = channelPanels * outputPanels
        ComputeThreads.workers(min(shares, pairs)) { worker in
          var kernel = kernel
          let shares = min(shares, pairs)
          for pair in pairs * worker / shares..<pairs * (worker + 1) / shares {
            ct_winograd_gradient(
              &kernel, imagePoints, slopePoints, Int32(count * tiles), Int64(length),
              Int32(pair / outputPanels), Int32(pair % outputPanels), first > 0 ? 1 : 0, weight,
              memory(worker))
          }
        }
      }
    }
    withExtendedLifetime((images, slopes)) {}
  }

  /// Calls `body` with a function that returns scratch memory of `count` floats for each of
  /// `threads` threads.
  private static func withScratch(
    _ count: Int, _ threads: Int, _ body: ((Int) -> UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    let stride = (count + 15) / 16 * 16
    let memory = try Memory(byteCount: stride * threads * 4)
    let base = memory.pointer.assumingMemoryBound(to: Float.self)
    try body { base + $0 * stride }
    withExtendedLifetime(memory) {}
  }
}
