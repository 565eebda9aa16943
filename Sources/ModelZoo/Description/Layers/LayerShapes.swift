internal import TrainingCore

extension LayerKind {
  /// The error for an input whose shape a layer does not accept.
  static func fail(_ layer: String, _ wanted: String, _ shape: [Int]) -> LayerError {
    LayerError("\(layer) takes \(wanted), not an input of shape \(shape)")
  }

  /// The output size of a dimension for the windows of a convolution or a pooling; nil if the
  /// window is larger than the padded input.
  static func windows(
    _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int = 1,
    ceilMode: Bool = false
  ) -> Int? {
    let room = size + 2 * padding - dilation * (kernel - 1) - 1
    guard room >= 0 else { return nil }
    let count = (room + (ceilMode ? stride - 1 : 0)) / stride + 1
    // The last window must begin inside the image or its left margin.
    return ceilMode && (count - 1) * stride >= size + padding ? count - 1 : count
  }

  /// The output shape of a convolution or a pooling over the last two dimensions.
  static func images(
    _ layer: String, channels: Int?, outputs: Int?, kernel: Pair, stride: Pair, padding: Pair,
    dilation: Pair = 1, ceilMode: Bool = false
  ) -> ([Int]) throws -> [Int] {
    { shape in
      let wanted = channels.map { "images of \($0) channels" } ?? "images"
      guard shape.count == 4, channels == nil || shape[1] == channels,
        let height = windows(
          shape[2], kernel.first, stride.first, padding.first, dilation.first, ceilMode: ceilMode),
        let width = windows(
          shape[3], kernel.second, stride.second, padding.second, dilation.second,
          ceilMode: ceilMode)
      else { throw fail(layer, wanted + " that are at least as large as its window", shape) }
      return [shape[0], outputs ?? shape[1], height, width]
    }
  }
}
