internal import CCkptTrainingKernels

extension Variable {
  /// The convolution of images of shape [batch, channels, height, width]: `F.conv2d`.
  ///
  /// Large 3×3 convolutions of float32 with a stride of 1 use Winograd's algorithm: their rounding
  /// errors are about 1e-6 of the largest output, and a NaN or an infinity in an image makes
  /// outputs up to four pixels away NaN.
  ///
  /// - Parameters:
  ///   - weight: the kernels, of shape [outputs, channels / groups, kernel height, kernel width].
  ///   - bias: of shape [outputs]; nil for none.
  ///   - stride: the distance between windows, in pixels.
  ///   - padding: the rows and columns of zeros added on each side.
  ///   - dilation: the distance between the kernel's elements, in pixels.
  ///   - groups: the number of groups in which channels are convolved.
  /// - Returns: a variable of shape [batch, outputs, output height, output width].
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func conv2d(
    _ weight: Variable, _ bias: Variable? = nil, stride: Pair = 1, padding: Pair = 0,
    dilation: Pair = 1, groups: Int = 1
  ) throws -> Variable {
    try conv2d(
      weight, bias,
      ConvolutionOptions(stride: stride, padding: padding, dilation: dilation, groups: groups))
  }

  func conv2d(
    _ weight: Variable, _ bias: Variable?, _ options: ConvolutionOptions
  ) throws -> Variable {
    try requireFloats("conv2d")
    try weight.requireType(of: self, "conv2d")
    try bias?.requireType(of: self, "conv2d")
    let g = try ConvolutionGeometry(
      input: shape, weight: weight.shape, options, operation: "conv2d")
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

  /// A convolution of float32 times each output channel's `scale`, plus its `shift`, plus `addend`,
  /// through a rectifier if `relu`, in one pass and without gradients; nil where no kernel does
  /// that.
  func convolved(
    _ weight: Variable, _ options: ConvolutionOptions, scale: [Float], shift: [Float],
    adding addend: Variable?, relu: Bool
  ) throws -> Variable? {
    let g = try ConvolutionGeometry(
      input: shape, weight: weight.shape, options, operation: "conv2d")
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
          addend: other.map { UnsafePointer($0.pointer(Float.self)) }, relu: relu ? 1 : 0)
        try Convolution.forward(
          g, input: source.pointer(Float.self), weight: kernel.pointer(Float.self), finish: finish,
          output: result.pointer(Float.self))
      }
    }
    keepAlive(source, kernel, other)
    return result
  }

  /// The transposed convolution of images of shape [batch, channels, height, width], the gradient
  /// of a convolution: `F.conv_transpose2d`.
  ///
  /// - Parameters:
  ///   - weight: the kernels, of shape [channels, outputs / groups, kernel height, kernel width].
  ///   - bias: of shape [outputs]; nil for none.
  ///   - stride: the stride of the convolution whose gradient this is, in pixels.
  ///   - padding: the padding of that convolution, in pixels.
  ///   - outputPadding: rows and columns added to one side of the output, whose size the stride
  ///     leaves open.
  ///   - dilation: the distance between the kernel's elements, in pixels.
  ///   - groups: the number of groups in which channels are convolved.
  /// - Returns: a variable of shape [batch, outputs, output height, output width].
  /// - Throws: `TrainingError` if shapes or element types do not fit.
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
      input: [shape[0], outputs, height, width], weight: weight.shape,
      .init(stride: stride, padding: padding, dilation: dilation, groups: groups),
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

  /// The convolution of sequences of shape [batch, channels, length]: `F.conv1d`.
  ///
  /// - Parameters:
  ///   - weight: the kernels, of shape [outputs, channels / groups, kernel size].
  ///   - bias: of shape [outputs]; nil for none.
  ///   - stride: the distance between windows.
  ///   - padding: the number of zeros added at each end.
  ///   - dilation: the distance between the kernel's elements.
  ///   - groups: the number of groups in which channels are convolved.
  /// - Returns: a variable of shape [batch, outputs, output length].
  /// - Throws: `TrainingError` if shapes or element types do not fit.
  public func conv1d(
    _ weight: Variable, _ bias: Variable? = nil, stride: Int = 1, padding: Int = 0,
    dilation: Int = 1, groups: Int = 1
  ) throws -> Variable {
    try conv1d(
      weight, bias,
      ConvolutionOptions(
        stride: Pair(1, stride), padding: Pair(0, padding), dilation: Pair(1, dilation),
        groups: groups))
  }

  /// A convolution of sequences with options for images that are one pixel high.
  func conv1d(
    _ weight: Variable, _ bias: Variable?, _ options: ConvolutionOptions
  ) throws -> Variable {
    guard rank == 3, weight.rank == 3 else {
      throw TrainingError.badShape(
        operation: "conv1d",
        problem: "an input of shape \(shape) for a weight of shape \(weight.shape)")
    }
    return try unsqueezed(2).conv2d(weight.unsqueezed(2), bias, options).squeezed(2)
  }
}
