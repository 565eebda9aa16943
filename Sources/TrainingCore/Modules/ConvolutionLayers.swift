/// A convolution over images: PyTorch's `nn.Conv2d` with `padding_mode="zeros"`.
public final class Conv2d: Module {
  /// The kernels, of shape [outputs, inputs / groups, kernel height, kernel width].
  public let weight: Parameter
  /// The bias, of shape [outputs]; nil without one.
  public let bias: Parameter?
  let options: ConvolutionOptions

  /// A convolution with PyTorch's initialization: uniform within 1 / √fan-in.
  ///
  /// - Parameters:
  ///   - inChannels: the channels of the input.
  ///   - outChannels: the channels of the output.
  ///   - kernelSize: the kernel's height and width.
  ///   - stride: the distance between windows, in pixels.
  ///   - padding: the rows and columns of zeros added on each side.
  ///   - dilation: the distance between the kernel's elements, in pixels.
  ///   - groups: the number of groups in which channels are convolved.
  ///   - bias: whether there is a bias.
  ///   - random: the source of the initial values.
  /// - Throws: `TrainingError.badArgument` if the groups do not divide the channels;
  ///   `TrainingError.badShape` for sizes that no tensor has.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Pair, stride: Pair = 1, padding: Pair = 0,
    dilation: Pair = 1, groups: Int = 1, bias: Bool = true, from random: RandomSource = .shared
  ) throws {
    try checkGroups(inChannels, outChannels, groups, "conv2d")
    (weight, self.bias) = try convolutionParameters(
      [outChannels, inChannels / groups, kernelSize.first, kernelSize.second],
      bias: bias ? outChannels : nil, from: random)
    options = ConvolutionOptions(
      stride: stride, padding: padding, dilation: dilation, groups: groups)
  }

  /// The convolution of `input`.
  ///
  /// - Parameter input: of shape [batch, inputs, height, width].
  /// - Returns: a variable of shape [batch, outputs, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.conv2d(weight, bias, options)
  }
}

/// A convolution over sequences: PyTorch's `nn.Conv1d` with `padding_mode="zeros"`.
public final class Conv1d: Module {
  /// The kernels, of shape [outputs, inputs / groups, kernel size].
  public let weight: Parameter
  /// The bias, of shape [outputs]; nil without one.
  public let bias: Parameter?
  let options: ConvolutionOptions

  /// A convolution with PyTorch's initialization: uniform within 1 / √fan-in.
  ///
  /// - Parameters:
  ///   - inChannels: the channels of the input.
  ///   - outChannels: the channels of the output.
  ///   - kernelSize: the kernel's length.
  ///   - stride: the distance between windows, in elements.
  ///   - padding: the number of zeros added at each end.
  ///   - dilation: the distance between the kernel's elements.
  ///   - groups: the number of groups in which channels are convolved.
  ///   - bias: whether there is a bias.
  ///   - random: the source of the initial values.
  /// - Throws: `TrainingError.badArgument` if the groups do not divide the channels;
  ///   `TrainingError.badShape` for sizes that no tensor has.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Int, stride: Int = 1, padding: Int = 0,
    dilation: Int = 1, groups: Int = 1, bias: Bool = true, from random: RandomSource = .shared
  ) throws {
    try checkGroups(inChannels, outChannels, groups, "conv1d")
    (weight, self.bias) = try convolutionParameters(
      [outChannels, inChannels / groups, kernelSize], bias: bias ? outChannels : nil, from: random)
    options = ConvolutionOptions(
      stride: Pair(1, stride), padding: Pair(0, padding), dilation: Pair(1, dilation),
      groups: groups)
  }

  /// The convolution of `input`.
  ///
  /// - Parameter input: of shape [batch, inputs, length].
  /// - Returns: a variable of shape [batch, outputs, output length].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.conv1d(weight, bias, options)
  }
}

/// A transposed convolution over images, the gradient of a convolution: PyTorch's
/// `nn.ConvTranspose2d`.
public final class ConvTranspose2d: Module {
  /// The kernels, of shape [inputs, outputs / groups, kernel height, kernel width].
  public let weight: Parameter
  /// The bias, of shape [outputs]; nil without one.
  public let bias: Parameter?
  let options: ConvolutionOptions
  let outputPadding: Pair

  /// A transposed convolution with PyTorch's initialization: uniform within 1 / √fan-in.
  ///
  /// - Parameters:
  ///   - inChannels: the channels of the input.
  ///   - outChannels: the channels of the output.
  ///   - kernelSize: the kernel's height and width.
  ///   - stride: the stride of the convolution whose gradient this is, in pixels.
  ///   - padding: the padding of that convolution, in pixels.
  ///   - outputPadding: rows and columns added to one side of the output.
  ///   - dilation: the distance between the kernel's elements, in pixels.
  ///   - groups: the number of groups in which channels are convolved.
  ///   - bias: whether there is a bias.
  ///   - random: the source of the initial values.
  /// - Throws: `TrainingError.badArgument` if the groups do not divide the channels;
  ///   `TrainingError.badShape` for sizes that no tensor has.
  public init(
    _ inChannels: Int, _ outChannels: Int, kernelSize: Pair, stride: Pair = 1, padding: Pair = 0,
    outputPadding: Pair = 0, dilation: Pair = 1, groups: Int = 1, bias: Bool = true,
    from random: RandomSource = .shared
  ) throws {
    try checkGroups(inChannels, outChannels, groups, "conv_transpose2d")
    (weight, self.bias) = try convolutionParameters(
      [inChannels, outChannels / groups, kernelSize.first, kernelSize.second],
      bias: bias ? outChannels : nil, from: random)
    options = ConvolutionOptions(
      stride: stride, padding: padding, dilation: dilation, groups: groups)
    self.outputPadding = outputPadding
  }

  /// The transposed convolution of `input`.
  ///
  /// - Parameter input: of shape [batch, inputs, height, width].
  /// - Returns: a variable of shape [batch, outputs, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.convTranspose2d(
      weight, bias, stride: options.stride, padding: options.padding, outputPadding: outputPadding,
      dilation: options.dilation, groups: options.groups)
  }
}

/// A convolution's parameters as PyTorch initializes them.
///
/// - Parameters:
///   - shape: the shape of the weight.
///   - count: the number of elements of the bias; nil for none.
private func convolutionParameters(_ shape: [Int], bias count: Int?, from random: RandomSource)
  throws -> (weight: Parameter, bias: Parameter?)
{
  let weight = try Parameter(shape, .kaimingUniform(a: 5.0.squareRoot()), from: random)
  let bias = try count.map {
    try Parameter([$0], .bias(inputs: Initialization.fans(shape).input), from: random)
  }
  return (weight, bias)
}

private func checkGroups(_ inputs: Int, _ outputs: Int, _ groups: Int, _ operation: String) throws {
  guard groups > 0, inputs > 0, outputs > 0, inputs % groups == 0, outputs % groups == 0 else {
    throw TrainingError.badArgument(
      operation: operation,
      problem: "\(inputs) inputs and \(outputs) outputs in \(groups) groups")
  }
}
