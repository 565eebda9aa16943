internal import CTrainingKernels

/// The sizes and options of a convolution over images.
struct ConvolutionGeometry {
  var batch: Int
  var channels: Int
  var height: Int
  var width: Int
  var outputs: Int
  var kernel: (Int, Int)
  var stride: (Int, Int)
  var padding: (Int, Int)
  var dilation: (Int, Int)
  var groups: Int

  var outputHeight: Int {
    (height + 2 * padding.0 - dilation.0 * (kernel.0 - 1) - 1) / stride.0 + 1
  }
  var outputWidth: Int {
    (width + 2 * padding.1 - dilation.1 * (kernel.1 - 1) - 1) / stride.1 + 1
  }
  var outputArea: Int { outputHeight * outputWidth }
  var inputArea: Int { height * width }
  var groupChannels: Int { channels / groups }
  var groupOutputs: Int { outputs / groups }
  /// How many weights one output has.
  var patch: Int { groupChannels * kernel.0 * kernel.1 }
  /// Whether the image itself is the matrix of patches.
  var isPointwise: Bool { kernel == (1, 1) && stride == (1, 1) && padding == (0, 0) }

  /// The geometry, if it makes sense.
  init(
    input: [Int], weight: [Int], stride: (Int, Int), padding: (Int, Int), dilation: (Int, Int),
    groups: Int, operation: String
  ) throws {
    guard input.count == 4, weight.count == 4 else {
      throw TrainingError.badShape(
        operation: operation, problem: "an input of shape \(input) for a weight of shape \(weight)")
    }
    guard groups > 0, input[1] % groups == 0, weight[0] % groups == 0,
      weight[1] == input[1] / groups, weight[0] > 0, weight[1] > 0
    else {
      throw TrainingError.badShape(
        operation: operation,
        problem: "\(input[1]) channels in \(groups) groups for a weight of shape \(weight)")
    }
    let all = [
      stride.0, stride.1, dilation.0, dilation.1, weight[2], weight[3],
    ]
    let most = 1 << 24
    guard all.allSatisfy({ (1...most).contains($0) }),
      [padding.0, padding.1].allSatisfy({ (0...most).contains($0) })
    else {
      throw TrainingError.badArgument(
        operation: operation, problem: "stride, padding, dilation or kernel makes no sense")
    }
    batch = input[0]
    channels = input[1]
    height = input[2]
    width = input[3]
    outputs = weight[0]
    kernel = (weight[2], weight[3])
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
    guard height + 2 * padding.0 >= dilation.0 * (kernel.0 - 1) + 1,
      width + 2 * padding.1 >= dilation.1 * (kernel.1 - 1) + 1
    else {
      throw TrainingError.badShape(
        operation: operation, problem: "the kernel \(kernel) is larger than the image \(input)")
    }
  }

  /// Lays the patches of one group of an image out as a matrix: a row for each weight, a column for
  /// each output.
  func patches<T: Scalar>(_ image: UnsafePointer<T>, into matrix: UnsafeMutablePointer<T>) {
    var row = matrix
    let (outputHeight, outputWidth) = (outputHeight, outputWidth)
    for channel in 0..<groupChannels {
      let plane = image + channel * inputArea
      for ky in 0..<kernel.0 {
        for kx in 0..<kernel.1 {
          let left = kx * dilation.1 - padding.1
          let first = Swift.min(outputWidth, left >= 0 ? 0 : (-left + stride.1 - 1) / stride.1)
          let last = Swift.max(
            first, left >= width ? 0 : Swift.min(outputWidth, (width - 1 - left) / stride.1 + 1))
          for y in 0..<outputHeight {
            let to = row + y * outputWidth
            let line = y * stride.0 + ky * dilation.0 - padding.0
            if line < 0 || line >= height {
              to.update(repeating: 0, count: outputWidth)
              continue
            }
            let from = plane + line * width + left
            for x in 0..<first { to[x] = 0 }
            if stride.1 == 1 {
              (to + first).update(from: from + first, count: last - first)
            } else {
              for x in first..<last { to[x] = from[x * stride.1] }
            }
            for x in last..<outputWidth { to[x] = 0 }
          }
          row += outputArea
        }
      }
    }
  }

  /// Adds a matrix of patches' gradients to those of the image.
  func addPatches<T: Scalar>(_ matrix: UnsafePointer<T>, to image: UnsafeMutablePointer<T>) {
    var row = matrix
    let (outputHeight, outputWidth) = (outputHeight, outputWidth)
    for channel in 0..<groupChannels {
      let plane = image + channel * inputArea
      for ky in 0..<kernel.0 {
        for kx in 0..<kernel.1 {
          let left = kx * dilation.1 - padding.1
          let first = Swift.min(outputWidth, left >= 0 ? 0 : (-left + stride.1 - 1) / stride.1)
          let last = Swift.max(
            first, left >= width ? 0 : Swift.min(outputWidth, (width - 1 - left) / stride.1 + 1))
          for y in 0..<outputHeight {
            let line = y * stride.0 + ky * dilation.0 - padding.0
            if line < 0 || line >= height { continue }
            let from = row + y * outputWidth
            let to = plane + line * width + left
            if stride.1 == 1 {
              for x in first..<last { to[x] += from[x] }
            } else {
              for x in first..<last { to[x * stride.1] += from[x] }
            }
          }
          row += outputArea
        }
      }
    }
  }
}

/// The three products of a convolution: outputs, gradients of images, gradients of weights.
///
/// All operands are contiguous.
enum Convolution {
  /// Images go to the threads; each has scratch memory of its own.
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

  /// The outputs of a convolution that ``DirectConvolution`` can do, finished while they are written.
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
    if let gradient = asFloats(gradient), let weight = asFloats(weight), let input = asFloats(input)
    {
      if WinogradConvolution.isBetterForInput(g) {
        return try WinogradConvolution.gradientOfInput(
          g, gradient: gradient, weight: weight, into: input)
      }
      if DirectConvolution.canDoGradientOfInput(g) {
        return try DirectConvolution.gradientOfInput(
          g, gradient: gradient, weight: weight, into: input)
      }
      if DepthwiseConvolution.canDoGradientOfInput(g) {
        return try DepthwiseConvolution.gradientOfInput(
          g, gradient: gradient, weight: weight, into: input)
      }
    }
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
    if let gradient = asFloats(gradient), let input = asFloats(input), let weight = asFloats(weight)
    {
      if WinogradConvolution.isBetterForWeight(g) {
        return try WinogradConvolution.gradientOfWeight(
          g, gradient: gradient, input: input, into: weight)
      }
      if PointwiseConvolution.canDo(g) {
        return try PointwiseConvolution.gradientOfWeight(
          g, gradient: gradient, input: input, into: weight)
      }
      if DirectConvolution.canDo(g) {
        return try DirectConvolution.gradientOfWeight(
          g, gradient: gradient, input: input, into: weight)
      }
      if DepthwiseConvolution.canDo(g) {
        return try DepthwiseConvolution.gradientOfWeight(
          g, gradient: gradient, input: input, into: weight)
      }
    }
    let blas = try BLAS.shared()
    let area = g.outputArea
    let weights = g.outputs * g.patch
    let patches = g.isPointwise ? 0 : g.patch * area
    // Each thread sums its images; the sums are added in the threads' order, so that the result does
    // not depend on who is first.
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

extension Variable {
  /// PyTorch's `conv2d` over images of shape [batch, channels, height, width].
  ///
  /// Large 3×3 convolutions of 32-bit floats with a stride of 1 are done by Winograd's way: their rounding
  /// errors are some 1e-6 of the largest output, and a NaN or an infinity in an image makes NaN of
  /// outputs up to four pixels away.
  ///
  /// - Parameters:
  ///   - weight: of shape [outputs, channels / groups, kernel height, kernel width].
  ///   - bias: of shape [outputs], or nil.
  public func conv2d(
    _ weight: Variable, _ bias: Variable? = nil, stride: Pair = 1, padding: Pair = 0,
    dilation: Pair = 1, groups: Int = 1
  ) throws -> Variable {
    try requireFloats("conv2d")
    try weight.requireType(of: self, "conv2d")
    try bias?.requireType(of: self, "conv2d")
    let g = try ConvolutionGeometry(
      input: shape, weight: weight.shape, stride: stride.sizes, padding: padding.sizes,
      dilation: dilation.sizes, groups: groups, operation: "conv2d")
    if let bias, bias.shape != [g.outputs] {
      throw TrainingError.badShape(
        operation: "conv2d", problem: "a bias of shape \(bias.shape) for \(g.outputs) outputs")
    }
    let source = try contiguous()
    let kernel = try weight.contiguous()
    let offset = try bias?.contiguous()
    let result = try Variable(
      empty: [g.batch, g.outputs, g.outputHeight, g.outputWidth], scalarType)
    func forward<T: Scalar>(_: T.Type) throws {
      try Convolution.forward(
        g, input: source.pointer(T.self), weight: kernel.pointer(T.self),
        bias: offset.map { UnsafePointer($0.pointer(T.self)) }, output: result.pointer(T.self))
    }
    try scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source, kernel, offset)

    let own = shape
    let wants = (requiresGrad, weight.requiresGrad, bias?.requiresGrad ?? false)
    let savedSource = wants.1 ? source.detached() : nil
    let savedKernel = wants.0 ? kernel.detached() : nil
    return result.computed(by: "conv2d", from: [self, weight] + (bias.map { [$0] } ?? [])) {
      gradient in
      let gradient = try gradient.contiguous()
      let input = wants.0 ? try Variable(empty: own, gradient.scalarType) : nil
      let kernel = wants.1 ? try Variable(empty: weight.shape, gradient.scalarType) : nil
      func backward<T: Scalar>(_: T.Type) throws {
        let slopes = gradient.pointer(T.self)
        if let input, let savedKernel {
          try Convolution.gradientOfInput(
            g, gradient: slopes, weight: savedKernel.pointer(T.self), into: input.pointer(T.self))
        }
        if let kernel, let savedSource {
          try Convolution.gradientOfWeight(
            g, gradient: slopes, input: savedSource.pointer(T.self), into: kernel.pointer(T.self))
        }
      }
      try gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient, savedSource, savedKernel)
      return [input, kernel, wants.2 ? try gradient.sum([0, 2, 3]) : nil]
    }
  }

  /// A convolution of 32-bit floats times an output's `scale`, plus its `shift`, plus `addend`, not below 0 if
  /// `rectifies`; no gradients. Nil if there is no way to do it at once.
  func convolved(
    _ weight: Variable, stride: Pair, padding: Pair, dilation: Pair, groups: Int, scale: [Float],
    shift: [Float], adding addend: Variable?, rectifies: Bool
  ) throws -> Variable? {
    let g = try ConvolutionGeometry(
      input: shape, weight: weight.shape, stride: stride.sizes, padding: padding.sizes,
      dilation: dilation.sizes, groups: groups, operation: "conv2d")
    let own = [g.batch, g.outputs, g.outputHeight, g.outputWidth]
    guard DirectConvolution.canDo(g), addend == nil || addend?.shape == own else { return nil }
    let source = try contiguous()
    let kernel = try weight.contiguous()
    let other = try addend?.contiguous()
    let result = try Variable(empty: own, .float32)
    try scale.withUnsafeBufferPointer { scale in
      try shift.withUnsafeBufferPointer { shift in
        let finish = ct_finish(
          scale: scale.baseAddress, shift: shift.baseAddress,
          addend: other.map { UnsafePointer($0.pointer(Float.self)) }, relu: rectifies ? 1 : 0)
        try Convolution.forward(
          g, input: source.pointer(Float.self), weight: kernel.pointer(Float.self), finish: finish,
          output: result.pointer(Float.self))
      }
    }
    keepAlive(source, kernel, other)
    return result
  }

  /// PyTorch's `conv_transpose2d`: the map that takes a convolution's outputs back to its input.
  ///
  /// - Parameters:
  ///   - weight: of shape [channels, outputs / groups, kernel height, kernel width].
  ///   - outputPadding: added to one side of the output, which the stride leaves open.
  public func convTranspose2d(
    _ weight: Variable, _ bias: Variable? = nil, stride: Pair = 1, padding: Pair = 0,
    outputPadding: Pair = 0, dilation: Pair = 1, groups: Int = 1
  ) throws -> Variable {
    try requireFloats("conv_transpose2d")
    try weight.requireType(of: self, "conv_transpose2d")
    try bias?.requireType(of: self, "conv_transpose2d")
    let numbers = [stride.first, stride.second, dilation.first, dilation.second]
    guard rank == 4, weight.rank == 4, weight.shape[0] == shape[1], groups > 0,
      shape[1] % groups == 0,
      numbers.allSatisfy({ (1...(1 << 24)).contains($0) }), shape[2] > 0, shape[3] > 0,
      outputPadding.first >= 0, outputPadding.second >= 0, padding.first >= 0, padding.second >= 0,
      outputPadding.first < max(stride.first, dilation.first),
      outputPadding.second < max(stride.second, dilation.second),
      max(shape[2], shape[3], weight.shape[2], weight.shape[3]) < 1 << 24,
      max(padding.first, padding.second) < 1 << 24
    else {
      throw TrainingError.badShape(
        operation: "conv_transpose2d",
        problem: "an input of shape \(shape) for a weight of shape \(weight.shape)")
    }
    let height =
      (shape[2] - 1) * stride.first - 2 * padding.first
      + dilation.first * (weight.shape[2] - 1) + outputPadding.first + 1
    let width =
      (shape[3] - 1) * stride.second - 2 * padding.second
      + dilation.second * (weight.shape[3] - 1) + outputPadding.second + 1
    let outputs = weight.shape[1] * groups
    // The convolution whose input this makes.
    let g = try ConvolutionGeometry(
      input: [shape[0], outputs, height, width], weight: weight.shape, stride: stride.sizes,
      padding: padding.sizes, dilation: dilation.sizes, groups: groups,
      operation: "conv_transpose2d")
    let source = try contiguous()
    let kernel = try weight.contiguous()
    let result = try Variable(empty: [shape[0], outputs, height, width], scalarType)
    func forward<T: Scalar>(_: T.Type) throws {
      try Convolution.gradientOfInput(
        g, gradient: source.pointer(T.self), weight: kernel.pointer(T.self),
        into: result.pointer(T.self))
    }
    try scalarType == .float64 ? forward(Double.self) : forward(Float.self)
    keepAlive(source, kernel)

    let own = shape
    let wants = (requiresGrad, weight.requiresGrad)
    let savedSource = wants.1 ? source.detached() : nil
    let savedKernel = wants.0 ? kernel.detached() : nil
    let mapped = result.computed(by: "conv_transpose2d", from: [self, weight]) { gradient in
      let gradient = try gradient.contiguous()
      let input = wants.0 ? try Variable(empty: own, gradient.scalarType) : nil
      let kernel = wants.1 ? try Variable(empty: weight.shape, gradient.scalarType) : nil
      func backward<T: Scalar>(_: T.Type) throws {
        let slopes = gradient.pointer(T.self)
        if let input, let savedKernel {
          try Convolution.forward(
            g, input: slopes, weight: savedKernel.pointer(T.self), bias: nil,
            output: input.pointer(T.self))
        }
        if let kernel, let savedSource {
          try Convolution.gradientOfWeight(
            g, gradient: savedSource.pointer(T.self), input: slopes, into: kernel.pointer(T.self))
        }
      }
      try gradient.scalarType == .float64 ? backward(Double.self) : backward(Float.self)
      keepAlive(gradient, savedSource, savedKernel)
      return [input, kernel]
    }
    guard let bias else { return mapped }
    return try mapped + bias.reshaped([1, -1, 1, 1])
  }

  /// PyTorch's `conv1d` over rows of shape [batch, channels, length].
  public func conv1d(
    _ weight: Variable, _ bias: Variable? = nil, stride: Int = 1, padding: Int = 0,
    dilation: Int = 1, groups: Int = 1
  ) throws -> Variable {
    guard rank == 3, weight.rank == 3 else {
      throw TrainingError.badShape(
        operation: "conv1d",
        problem: "an input of shape \(shape) for a weight of shape \(weight.shape)")
    }
    return try unsqueezed(2).conv2d(
      weight.unsqueezed(2), bias, stride: Pair(1, stride), padding: Pair(0, padding),
      dilation: Pair(1, dilation), groups: groups
    ).squeezed(2)
  }
}

/// A number for the height and one for the width; written as one number where they are equal.
public struct Pair: Sendable, Hashable, ExpressibleByIntegerLiteral {
  /// For the height.
  public var first: Int
  /// For the width.
  public var second: Int

  /// Two numbers.
  public init(_ first: Int, _ second: Int) {
    self.first = first
    self.second = second
  }

  /// The same number twice.
  public init(_ both: Int) { self.init(both, both) }

  /// The same number twice.
  public init(integerLiteral value: Int) { self.init(value, value) }

  var sizes: (Int, Int) { (first, second) }
}
