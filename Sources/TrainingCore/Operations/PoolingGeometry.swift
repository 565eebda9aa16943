/// The options of windows over an image.
struct PoolingOptions {
  var kernelSize: Pair
  var stride: Pair
  var padding: Pair
  var dilation: Pair = 1
  var ceilMode: Bool
  /// Whether the padding's zeros count for a mean.
  var countIncludePad = true
}

/// The sizes and options of windows over an image.
struct PoolingGeometry {
  var planes: Int
  var height: Int
  var width: Int
  var kernel: (Int, Int)
  var stride: (Int, Int)
  var padding: (Int, Int)
  var dilation: (Int, Int)
  var outputHeight: Int
  var outputWidth: Int

  init(
    _ shape: [Int], _ options: PoolingOptions, operation: String
  ) throws {
    let (kernel, stride, padding) = (options.kernelSize, options.stride, options.padding)
    let (dilation, ceilMode) = (options.dilation, options.ceilMode)
    let most = 1 << 24
    guard shape.count == 4,
      [kernel, stride, dilation].allSatisfy({
        (1...most).contains($0.first) && (1...most).contains($0.second)
      }),
      padding.first >= 0, padding.second >= 0, padding.first <= kernel.first / 2,
      padding.second <= kernel.second / 2
    else {
      throw TrainingError.badArgument(
        operation: operation,
        problem: "an input of shape \(shape) with kernel \(kernel.first) × \(kernel.second), "
          + "stride \(stride.first) × \(stride.second), padding \(padding.first) × \(padding.second)"
      )
    }
    func output(_ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int) -> Int {
      let room = size + 2 * padding - dilation * (kernel - 1) - 1
      guard room >= 0 else { return 0 }
      var count = (room + (ceilMode ? stride - 1 : 0)) / stride + 1
      // The last window must begin inside the image or in the padding before it.
      if ceilMode, (count - 1) * stride >= size + padding { count -= 1 }
      return count
    }
    planes = shape[0] * shape[1]
    height = shape[2]
    width = shape[3]
    self.kernel = kernel.sizes
    self.stride = stride.sizes
    self.padding = padding.sizes
    self.dilation = dilation.sizes
    outputHeight = output(
      height, kernel.first, stride.first, padding.first, dilation.first)
    outputWidth = output(width, kernel.second, stride.second, padding.second, dilation.second)
    guard outputHeight > 0, outputWidth > 0 else {
      throw TrainingError.badShape(
        operation: operation, problem: "the window is larger than the image \(shape)")
    }
  }
}

extension PoolingGeometry {
  /// The part of a window that lies inside the image.
  func inside(
    _ index: Int, _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int
  ) -> Range<Int> {
    var first = index * stride - padding
    if first < 0 { first += (-first + dilation - 1) / dilation * dilation }
    let end = min(index * stride - padding + (kernel - 1) * dilation + 1, size)
    return first..<max(first, end)
  }
}
