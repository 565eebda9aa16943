/// A convolution over images [batch, channels, height, width]: `nn.Conv2d`.
public final class Conv2d: Module {
  /// Of shape [outputs, inputs / groups, kernel height, kernel width].
  public let weight: Parameter
  /// Of shape [outputs].
  public let bias: Parameter?
  let stride: Pair
  let padding: Pair
  let dilation: Pair
  let groups: Int

  /// A convolution from `inputs` channels to `outputs`.
  ///
  /// - Throws: `TrainingError` for sizes that make no sense.
  public init(
    _ inputs: Int, _ outputs: Int, kernelSize: Pair, stride: Pair = 1, padding: Pair = 0,
    dilation: Pair = 1, groups: Int = 1, bias: Bool = true, from random: RandomSource = .shared
  ) throws {
    try checkGroups(inputs, outputs, groups, "conv2d")
    let shape = [outputs, inputs / groups, kernelSize.first, kernelSize.second]
    weight = try Parameter(shape, .kaimingUniform(a: 5.0.squareRoot()), from: random)
    self.bias =
      try bias
      ? Parameter([outputs], .bias(inputs: Initialization.fans(shape).input), from: random) : nil
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.conv2d(
      weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }
}

/// A convolution over rows [batch, channels, length]: `nn.Conv1d`.
public final class Conv1d: Module {
  /// Of shape [outputs, inputs / groups, kernel size].
  public let weight: Parameter
  /// Of shape [outputs].
  public let bias: Parameter?
  let stride: Int
  let padding: Int
  let dilation: Int
  let groups: Int

  /// A convolution from `inputs` channels to `outputs`.
  ///
  /// - Throws: `TrainingError` for sizes that make no sense.
  public init(
    _ inputs: Int, _ outputs: Int, kernelSize: Int, stride: Int = 1, padding: Int = 0,
    dilation: Int = 1, groups: Int = 1, bias: Bool = true, from random: RandomSource = .shared
  ) throws {
    try checkGroups(inputs, outputs, groups, "conv1d")
    let shape = [outputs, inputs / groups, kernelSize]
    weight = try Parameter(shape, .kaimingUniform(a: 5.0.squareRoot()), from: random)
    self.bias =
      try bias
      ? Parameter([outputs], .bias(inputs: Initialization.fans(shape).input), from: random) : nil
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.conv1d(
      weight, bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
  }
}

/// The map that takes a convolution's outputs back to its input: `nn.ConvTranspose2d`.
public final class ConvTranspose2d: Module {
  /// Of shape [inputs, outputs / groups, kernel height, kernel width].
  public let weight: Parameter
  /// Of shape [outputs].
  public let bias: Parameter?
  let stride: Pair
  let padding: Pair
  let outputPadding: Pair
  let dilation: Pair
  let groups: Int

  /// A map from `inputs` channels to `outputs`.
  ///
  /// - Throws: `TrainingError` for sizes that make no sense.
  public init(
    _ inputs: Int, _ outputs: Int, kernelSize: Pair, stride: Pair = 1, padding: Pair = 0,
    outputPadding: Pair = 0, dilation: Pair = 1, groups: Int = 1, bias: Bool = true,
    from random: RandomSource = .shared
  ) throws {
    try checkGroups(inputs, outputs, groups, "conv_transpose2d")
    let shape = [inputs, outputs / groups, kernelSize.first, kernelSize.second]
    weight = try Parameter(shape, .kaimingUniform(a: 5.0.squareRoot()), from: random)
    self.bias =
      try bias
      ? Parameter([outputs], .bias(inputs: Initialization.fans(shape).input), from: random) : nil
    self.stride = stride
    self.padding = padding
    self.outputPadding = outputPadding
    self.dilation = dilation
    self.groups = groups
  }

  override public func forward(_ input: Variable) throws -> Variable {
    try input.convTranspose2d(
      weight, bias, stride: stride, padding: padding, outputPadding: outputPadding,
      dilation: dilation, groups: groups)
  }
}

private func checkGroups(_ inputs: Int, _ outputs: Int, _ groups: Int, _ operation: String) throws {
  guard groups > 0, inputs > 0, outputs > 0, inputs % groups == 0, outputs % groups == 0 else {
    throw TrainingError.badArgument(
      operation: operation,
      problem: "\(inputs) inputs and \(outputs) outputs in \(groups) groups")
  }
}
