/// The largest element of each window of an image: PyTorch's `nn.MaxPool2d`.
public final class MaxPool2d: Module {
  let options: PoolingOptions

  /// A layer with windows of that size.
  ///
  /// - Parameters:
  ///   - kernelSize: the size of a window, in pixels.
  ///   - stride: the distance between windows, in pixels; the size of a window unless given.
  ///   - padding: the pixels added on each side: -∞ for all purposes.
  ///   - dilation: the distance between the pixels of a window.
  ///   - ceilMode: whether a last window that reaches beyond the input counts, `ceil_mode` in
  ///     PyTorch.
  public init(
    _ kernelSize: Pair, stride: Pair? = nil, padding: Pair = 0, dilation: Pair = 1,
    ceilMode: Bool = false
  ) {
    options = PoolingOptions(
      kernelSize: kernelSize, stride: stride ?? kernelSize, padding: padding, dilation: dilation,
      ceilMode: ceilMode)
  }

  /// The largest element of each window.
  ///
  /// - Parameter input: of shape [batch, channels, height, width].
  /// - Returns: a variable of shape [batch, channels, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit, or for
  ///   invalid windows.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.maxPool2d(options)
  }
}

/// The mean of each window of an image: PyTorch's `nn.AvgPool2d`.
public final class AvgPool2d: Module {
  let options: PoolingOptions

  /// A layer with windows of that size.
  ///
  /// - Parameters:
  ///   - kernelSize: the size of a window, in pixels.
  ///   - stride: the distance between windows, in pixels; the size of a window unless given.
  ///   - padding: the pixels added on each side: zeros.
  ///   - ceilMode: whether a last window that reaches beyond the input counts, `ceil_mode` in
  ///     PyTorch.
  ///   - countIncludePad: whether the padding's zeros count for the mean, `count_include_pad` in
  ///     PyTorch.
  public init(
    _ kernelSize: Pair, stride: Pair? = nil, padding: Pair = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true
  ) {
    options = PoolingOptions(
      kernelSize: kernelSize, stride: stride ?? kernelSize, padding: padding, ceilMode: ceilMode,
      countIncludePad: countIncludePad)
  }

  /// The mean of each window.
  ///
  /// - Parameter input: of shape [batch, channels, height, width].
  /// - Returns: a variable of shape [batch, channels, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit, or for
  ///   invalid windows.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.avgPool2d(options)
  }
}

/// The means of windows that are chosen to give an output of a certain size: PyTorch's
/// `nn.AdaptiveAvgPool2d`.
public final class AdaptiveAvgPool2d: Module {
  let outputSize: Pair

  /// A layer with outputs of that height and width.
  public init(_ outputSize: Pair) { self.outputSize = outputSize }

  /// The mean of each window.
  ///
  /// - Parameter input: of shape [batch, channels, height, width].
  /// - Returns: a variable of shape [batch, channels, output height, output width].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.adaptiveAvgPool2d(outputSize)
  }
}

/// The largest element of each window of a sequence: PyTorch's `nn.MaxPool1d`.
public final class MaxPool1d: Module {
  let options: PoolingOptions

  /// A layer with windows of that size.
  ///
  /// - Parameters:
  ///   - kernelSize: the size of a window, in elements.
  ///   - stride: the distance between windows, in elements; the size of a window unless given.
  ///   - padding: the elements added on each side: -∞ for all purposes.
  ///   - dilation: the distance between the elements of a window.
  ///   - ceilMode: whether a last window that reaches beyond the input counts, `ceil_mode` in
  ///     PyTorch.
  public init(
    _ kernelSize: Int, stride: Int? = nil, padding: Int = 0, dilation: Int = 1,
    ceilMode: Bool = false
  ) {
    options = PoolingOptions(
      length: kernelSize, stride: stride, padding: padding, dilation: dilation, ceilMode: ceilMode)
  }

  /// The largest element of each window.
  ///
  /// - Parameter input: of shape [batch, channels, length].
  /// - Returns: a variable of shape [batch, channels, output length].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit, or for
  ///   invalid windows.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.maxPool1d(options)
  }
}

/// The mean of each window of a sequence: PyTorch's `nn.AvgPool1d`.
public final class AvgPool1d: Module {
  let options: PoolingOptions

  /// A layer with windows of that size.
  ///
  /// - Parameters:
  ///   - kernelSize: the size of a window, in elements.
  ///   - stride: the distance between windows, in elements; the size of a window unless given.
  ///   - padding: the elements added on each side: zeros.
  ///   - ceilMode: whether a last window that reaches beyond the input counts, `ceil_mode` in
  ///     PyTorch.
  ///   - countIncludePad: whether the padding's zeros count for the mean, `count_include_pad` in
  ///     PyTorch.
  public init(
    _ kernelSize: Int, stride: Int? = nil, padding: Int = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true
  ) {
    options = PoolingOptions(
      length: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode,
      countIncludePad: countIncludePad)
  }

  /// The mean of each window.
  ///
  /// - Parameter input: of shape [batch, channels, length].
  /// - Returns: a variable of shape [batch, channels, output length].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit, or for
  ///   invalid windows.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.avgPool1d(options)
  }
}

/// The means of windows that are chosen to give an output of a certain length: PyTorch's
/// `nn.AdaptiveAvgPool1d`.
public final class AdaptiveAvgPool1d: Module {
  let outputSize: Int

  /// A layer with outputs of that length.
  public init(_ outputSize: Int) { self.outputSize = outputSize }

  /// The mean of each window.
  ///
  /// - Parameter input: of shape [batch, channels, length].
  /// - Returns: a variable of shape [batch, channels, output length].
  /// - Throws: `TrainingError` if the shape or the element type of `input` does not fit.
  override public func forward(_ input: Variable) throws -> Variable {
    try input.adaptiveAvgPool1d(outputSize)
  }
}
