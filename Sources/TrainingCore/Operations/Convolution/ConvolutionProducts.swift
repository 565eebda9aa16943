internal import CCkptTrainingKernels

/// The three products of a convolution: outputs, gradients of images, and gradients of weights. All
/// operands are contiguous.
enum Convolution {
  /// A product of float32 by one of the algorithms: of two operands, into a third.
  private typealias FloatProduct = (
    ConvolutionGeometry, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>
  ) throws -> Void

  /// Computes a product of float32 with the first suitable algorithm; false if there is none, or
  /// the elements are of another type.
  private static func doInFloats<T: Scalar>(
    _ g: ConvolutionGeometry, _ left: UnsafePointer<T>, _ right: UnsafePointer<T>,
    into result: UnsafeMutablePointer<T>,
    by algorithms: [(suits: (ConvolutionGeometry) -> Bool, product: FloatProduct)]
  ) throws -> Bool {
    guard let left = asFloats(left), let right = asFloats(right), let result = asFloats(result),
      let algorithm = algorithms.first(where: { $0.suits(g) })
    else { return false }
    try algorithm.product(g, left, right, result)
    return true
  }

  /// Calls `body` for each image; threads share the images, and each has its own scratch memory.
  private static func forImages<T: Scalar>(
    _ g: ConvolutionGeometry, scratch: Int,
    _ body: (_ worker: Int, _ image: Int, _ scratch: UnsafeMutablePointer<T>) -> Void
  ) throws {
    let workers = max(1, min(ComputeThreads.count, g.batch))
    let memory = try Memory(byteCount: max(1, scratch) * workers * MemoryLayout<T>.stride)
    let base = memory.pointer.assumingMemoryBound(to: T.self)
    ComputeThreads.workers(workers) { worker in
      for image in g.batch * worker / workers..<g.batch * (worker + 1) / workers {
        body(worker, image, base + worker * scratch)
      }
    }
    withExtendedLifetime(memory) {}
  }

  static func forward<T: Scalar>(
    _ g: ConvolutionGeometry, input: UnsafePointer<T>, weight: UnsafePointer<T>,
    bias: UnsafePointer<T>?, output: UnsafeMutablePointer<T>
  ) throws {
    if let input = asFloats(input), let weight = asFloats(weight), let output = asFloats(output) {
      let bias = bias.flatMap { asFloats($0) }
      if DirectConvolution.canDo(g) {
        let finish = ct_finish(scale: nil, shift: bias, addend: nil, relu: 0)
        return try forward(g, input: input, weight: weight, finish: finish, output: output)
      }
      if DepthwiseConvolution.canDo(g) {
        return try DepthwiseConvolution.forward(
          g, input: input, weight: weight, bias: bias, output: output)
      }
    }
    let blas = try BLAS.shared()
    let area = g.outputArea
    try forImages(g, scratch: g.isPointwise ? 0 : g.patch * area) { _, image, scratch in
      for group in 0..<g.groups {
        let from = input + (image * g.channels + group * g.groupChannels) * g.inputArea
        let to = output + (image * g.outputs + group * g.groupOutputs) * area
        if !g.isPointwise { g.patches(from, into: scratch) }
        if let bias {
          for channel in 0..<g.groupOutputs {
            (to + channel * area).update(
              repeating: bias[group * g.groupOutputs + channel], count: area)
          }
        }
        blas.multiply(
          g.groupOutputs, area, g.patch, .init(weight + group * g.groupOutputs * g.patch, g.patch),
          .init(g.isPointwise ? from : UnsafePointer(scratch), area), adding: bias == nil ? 0 : 1,
          to: to, area)
      }
    }
  }

  /// The outputs of a convolution that ``DirectConvolution`` supports, with `finish` applied while
  /// they are written.
  static func forward(
    _ g: ConvolutionGeometry, input: UnsafePointer<Float>, weight: UnsafePointer<Float>,
    finish: ct_finish, output: UnsafeMutablePointer<Float>
  ) throws {
    if WinogradConvolution.isBetter(g) {
      try WinogradConvolution.forward(
        g, input: input, weight: weight, finish: finish, output: output)
    } else {
      try DirectConvolution.forward(
        g, input: input, weight: weight, finish: finish, output: output)
    }
  }

  static func gradientOfInput<T: Scalar>(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<T>, weight: UnsafePointer<T>,
    into input: UnsafeMutablePointer<T>
  ) throws {
    let isDone = try doInFloats(
      g, gradient, weight, into: input,
      by: [
        (WinogradConvolution.isBetterForInput, WinogradConvolution.gradientOfInput),
        (DirectConvolution.canDoGradientOfInput, DirectConvolution.gradientOfInput),
        (DepthwiseConvolution.canDoGradientOfInput, DepthwiseConvolution.gradientOfInput),
      ])
    if isDone { return }
    let blas = try BLAS.shared()
    let area = g.outputArea
    try forImages(g, scratch: g.isPointwise ? 0 : g.patch * area) { _, image, scratch in
      for group in 0..<g.groups {
        let from = gradient + (image * g.outputs + group * g.groupOutputs) * area
        let to = input + (image * g.channels + group * g.groupChannels) * g.inputArea
        let kernel = BLAS.Matrix(
          weight + group * g.groupOutputs * g.patch, g.patch, transposed: true)
        blas.multiply(
          g.patch, area, g.groupOutputs, kernel, .init(from, area),
          to: g.isPointwise ? to : scratch, area)
        if !g.isPointwise {
          to.update(repeating: 0, count: g.groupChannels * g.inputArea)
          g.addPatches(scratch, to: to)
        }
      }
    }
  }

  static func gradientOfWeight<T: Scalar>(
    _ g: ConvolutionGeometry, gradient: UnsafePointer<T>, input: UnsafePointer<T>,
    into weight: UnsafeMutablePointer<T>
  ) throws {
    let isDone = try doInFloats(
      g, gradient, input, into: weight,
      by: [
        (WinogradConvolution.isBetterForWeight, WinogradConvolution.gradientOfWeight),
        (PointwiseConvolution.canDo, PointwiseConvolution.gradientOfWeight),
        (DirectConvolution.canDo, DirectConvolution.gradientOfWeight),
        (DepthwiseConvolution.canDo, DepthwiseConvolution.gradientOfWeight),
      ])
    if isDone { return }
    let blas = try BLAS.shared()
    let area = g.outputArea
    let weights = g.outputs * g.patch
    let patches = g.isPointwise ? 0 : g.patch * area
    // Each thread sums its images; the sums are added in the threads' order, so that the result
    // does not depend on which is first.
    let workers = max(1, min(ComputeThreads.count, g.batch))
    let memory = try Memory(byteCount: weights * workers * MemoryLayout<T>.stride)
    let sums = memory.pointer.assumingMemoryBound(to: T.self)
    sums.update(repeating: 0, count: weights * workers)
    try forImages(g, scratch: patches) { worker, image, scratch in
      for group in 0..<g.groups {
        let from = input + (image * g.channels + group * g.groupChannels) * g.inputArea
        let slope = gradient + (image * g.outputs + group * g.groupOutputs) * area
        if !g.isPointwise { g.patches(from, into: scratch) }
        blas.multiply(
          g.groupOutputs, g.patch, area, .init(slope, area),
          .init(g.isPointwise ? from : UnsafePointer(scratch), area, transposed: true), adding: 1,
          to: sums + worker * weights + group * g.groupOutputs * g.patch, g.patch)
      }
    }
    ComputeThreads.split(weights, grain: elementGrain) { range in
      for i in range {
        var sum = sums[i]
        for worker in 1..<max(workers, 1) { sum += sums[worker * weights + i] }
        weight[i] = sum
      }
    }
    withExtendedLifetime(memory) {}
  }
}
