internal import CkptBytes

/// Bicubic interpolation of a grid, as PyTorch's `interpolate(mode="bicubic", antialias=True)` does
/// it (aten/src/ATen/native/cpu/UpSampleKernel.cpp): a filter with a = -1/2, stretched where the
/// grid shrinks.
struct Bicubic {
  /// The input range and the weights of one output position.
  private struct Window {
    let first: Int
    let weights: [Float]
  }

  /// Interpolates rows of `width` numbers at the positions of a grid.
  ///
  /// - Parameters:
  ///   - grid: `from.height * from.width` rows, row-major.
  ///   - width: how many numbers a row has.
  /// - Returns: `to.height * to.width` rows.
  static func resample(
    _ grid: [Float], width: Int, from: (height: Int, width: Int), to: (height: Int, width: Int)
  ) -> [Float] {
    // First along each line, then across the lines.
    var lines = [Float](repeating: 0, count: from.height * to.width * width)
    for (column, window) in windows(from.width, to.width).enumerated() {
      for line in 0..<from.height {
        let target = (line * to.width + column) * width
        for (position, weight) in window.weights.enumerated() {
          let source = (line * from.width + window.first + position) * width
          for channel in 0..<width { lines[target + channel] += grid[source + channel] * weight }
        }
      }
    }
    var result = [Float](repeating: 0, count: to.height * to.width * width)
    let stride = to.width * width
    for (line, window) in windows(from.height, to.height).enumerated() {
      for (position, weight) in window.weights.enumerated() {
        let source = (window.first + position) * stride
        for index in 0..<stride { result[line * stride + index] += lines[source + index] * weight }
      }
    }
    return result
  }

  private static func windows(_ input: Int, _ output: Int) -> [Window] {
    if input == output { return (0..<output).map { Window(first: $0, weights: [1]) } }
    let scale = Float(input) / Float(output)
    let support = scale >= 1 ? 2 * scale : 2
    let inverse = scale >= 1 ? 1 / scale : 1
    return (0..<output).map { position in
      let center = scale * (Float(position) + 0.5)
      let first = max(Int(saturating: center - support + 0.5), 0)
      let end = min(Int(saturating: center + support + 0.5), input)
      var weights = (first..<max(end, first)).map { filter((Float($0) - center + 0.5) * inverse) }
      let sum = weights.reduce(0, +)
      if sum != 0 { weights = weights.map { $0 / sum } }
      return Window(first: first, weights: weights)
    }
  }

  private static func filter(_ distance: Float) -> Float {
    let a: Float = -0.5
    let x = abs(distance)
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
  }
}
