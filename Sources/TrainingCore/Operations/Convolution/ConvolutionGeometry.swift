/// The options of a convolution over images.
struct ConvolutionOptions {
  var stride: Pair
  var padding: Pair
  var dilation: Pair
  var groups: Int
}

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
  /// The number of weights of one output channel.
  var patch: Int { groupChannels * kernel.0 * kernel.1 }
  /// Whether the image is its own matrix of patches.
  var isPointwise: Bool { kernel == (1, 1) && stride == (1, 1) && padding == (0, 0) }

  /// The geometry of a convolution; throws if sizes or options do not fit.
  init(
    input: [Int], weight: [Int], _ options: ConvolutionOptions, operation: String
  ) throws {
    let (stride, padding) = (options.stride.sizes, options.padding.sizes)
    let (dilation, groups) = (options.dilation.sizes, options.groups)
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

  /// Writes the patches of one group of an image as a matrix with a row for each weight and a column for each output
  /// pixel: im2col.
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

  /// Adds a matrix of patches' gradients to the gradients of the image: col2im.
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
