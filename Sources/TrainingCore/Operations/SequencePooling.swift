// Pooling of sequences: that of images which are one pixel high.

extension Variable {
  /// The largest element of each window of sequences of shape [batch, channels, length]:
  /// `F.max_pool1d`.
  ///
  /// - Parameters:
  ///   - kernelSize: the length of a window.
  ///   - stride: the distance between windows; the length of a window unless given.
  ///   - padding: the elements added at each end, which never are the largest; at most half of the
  ///     window.
  ///   - dilation: the distance between the elements of a window.
  ///   - ceilMode: whether a last window that reaches beyond the sequence counts.
  /// - Returns: a variable of shape [batch, channels, output length].
  /// - Throws: `TrainingError` if the shape or the element type does not fit, or for windows that
  ///   are invalid.
  public func maxPool1d(
    _ kernelSize: Int, stride: Int? = nil, padding: Int = 0, dilation: Int = 1,
    ceilMode: Bool = false
  ) throws -> Variable {
    try maxPool1d(
      PoolingOptions(
        length: kernelSize, stride: stride, padding: padding, dilation: dilation,
        ceilMode: ceilMode))
  }

  func maxPool1d(_ options: PoolingOptions) throws -> Variable {
    try asImages("max_pool1d").maxPool2d(options).squeezed(2)
  }

  /// The mean of each window of sequences of shape [batch, channels, length]: `F.avg_pool1d`.
  ///
  /// - Parameters:
  ///   - kernelSize: the length of a window.
  ///   - stride: the distance between windows; the length of a window unless given.
  ///   - padding: the zeros added at each end; at most half of the window.
  ///   - ceilMode: whether a last window that reaches beyond the sequence counts.
  ///   - countIncludePad: whether the padding's zeros count for the mean.
  /// - Returns: a variable of shape [batch, channels, output length].
  /// - Throws: `TrainingError` if the shape or the element type does not fit, or for windows that
  ///   are invalid.
  public func avgPool1d(
    _ kernelSize: Int, stride: Int? = nil, padding: Int = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true
  ) throws -> Variable {
    try avgPool1d(
      PoolingOptions(
        length: kernelSize, stride: stride, padding: padding, ceilMode: ceilMode,
        countIncludePad: countIncludePad))
  }

  func avgPool1d(_ options: PoolingOptions) throws -> Variable {
    try asImages("avg_pool1d").avgPool2d(options).squeezed(2)
  }

  /// The means of windows that are chosen to give an output of a certain length, over sequences of
  /// shape [batch, channels, length]: `F.adaptive_avg_pool1d`.
  ///
  /// - Parameter outputSize: the length of the output.
  /// - Returns: a variable of shape [batch, channels, output length].
  /// - Throws: `TrainingError` if the shape or the element type does not fit.
  public func adaptiveAvgPool1d(_ outputSize: Int) throws -> Variable {
    try asImages("adaptive_avg_pool1d").adaptiveAvgPool2d(Pair(1, outputSize)).squeezed(2)
  }

  /// Sequences as images of height 1.
  private func asImages(_ operation: String) throws -> Variable {
    guard rank == 3 else {
      throw TrainingError.badShape(
        operation: operation, problem: "sequences of shape \(shape)")
    }
    return try unsqueezed(2)
  }
}

extension PoolingOptions {
  /// The options of windows over sequences, as images that are one pixel high.
  init(
    length: Int, stride: Int?, padding: Int, dilation: Int = 1, ceilMode: Bool,
    countIncludePad: Bool = true
  ) {
    self.init(
      kernelSize: Pair(1, length), stride: Pair(1, stride ?? length), padding: Pair(0, padding),
      dilation: Pair(1, dilation), ceilMode: ceilMode, countIncludePad: countIncludePad)
  }
}
