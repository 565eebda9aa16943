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

  /// A row of output pixels as one weight of a kernel sees it.
  private struct PatchRow {
    /// The offset of the row in the matrix of patches.
    let offset: Int
    /// The offset of its first pixel in the group's image, which may be left of the image; nil
    /// above and below it.
    let imageOffset: Int?
    /// The range of its pixels that are in the image.
    let inside: Range<Int>
  }

  /// Goes over the rows of the matrix that has a row for each weight of a group and a column for
  /// each output pixel, and over the rows of output pixels in each.
  @inline(__always)
  private func forEachPatchRow(_ body: (PatchRow) -> Void) {
    var row = 0
    let (outputHeight, outputWidth) = (outputHeight, outputWidth)
    for channel in 0..<groupChannels {
      for ky in 0..<kernel.0 {
        for kx in 0..<kernel.1 {
          let left = kx * dilation.1 - padding.1
          let first = Swift.min(outputWidth, left >= 0 ? 0 : (-left + stride.1 - 1) / stride.1)
          let last = Swift.max(
            first, left >= width ? 0 : Swift.min(outputWidth, (width - 1 - left) / stride.1 + 1))
          for y in 0..<outputHeight {
            let line = y * stride.0 + ky * dilation.0 - padding.0
            body(
              PatchRow(
                offset: row + y * outputWidth,
                imageOffset: line < 0 || line >= height
                  ? nil : channel * inputArea + line * width + left,
                inside: first..<last))
          }
          row += outputArea
        }
      }
    }
  }

  /// Writes the patches of one group of an image as a matrix with a row for each weight and a
  /// column for each output pixel: im2col.
  func patches<T: Scalar>(_ image: UnsafePointer<T>, into matrix: UnsafeMutablePointer<T>) {
    let (outputWidth, step) = (outputWidth, stride.1)
    forEachPatchRow { row in
      let to = matrix + row.offset
      guard let imageOffset = row.imageOffset else {
        return to.update(repeating: 0, count: outputWidth)
      }
      let from = image + imageOffset
      for x in 0..<row.inside.lowerBound { to[x] = 0 }
      if step == 1 {
        (to + row.inside.lowerBound).update(
          from: from + row.inside.lowerBound, count: row.inside.count)
      } else {
        for x in row.inside { to[x] = from[x * step] }
      }
      for x in row.inside.upperBound..<outputWidth { to[x] = 0 }
    }
  }

  /// Adds a matrix of patches' gradients to the gradients of the image: col2im.
  func addPatches<T: Scalar>(_ matrix: UnsafePointer<T>, to image: UnsafeMutablePointer<T>) {
    let step = stride.1
    forEachPatchRow { row in
      guard let imageOffset = row.imageOffset else { return }
      let (from, to) = (matrix + row.offset, image + imageOffset)
      if step == 1 {
        for x in row.inside { to[x] += from[x] }
      } else {
        for x in row.inside { to[x * step] += from[x] }
      }
    }
  }
}
