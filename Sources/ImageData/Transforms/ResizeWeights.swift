internal import CCkptImages

/// The interpolation filter for resizing.
public enum ResizeFilter: String, Sendable, Hashable, Codable, CaseIterable {
  /// The nearest pixel, by truncation, as in Pillow.
  case nearest
  /// Linear interpolation between two pixels in each direction; over more when an image shrinks.
  case bilinear
  /// Cubic interpolation over four pixels in each direction, with a = -0.5; over more when an image
  /// shrinks.
  case bicubic

  /// The radius of the filter, in pixels (of the output when an image shrinks).
  fileprivate var support: Double { self == .bicubic ? 2 : 1 }

  /// The weight at a distance from the center.
  fileprivate func weight(_ distance: Double) -> Double {
    let x = abs(distance)
    if self == .bilinear { return x < 1 ? 1 - x : 0 }
    let a = -0.5
    if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
    return 0
  }
}

/// The weights for resizing in one direction, with the arithmetic of Pillow's `precompute_coeffs`.
struct ResizeWeights {
  private(set) var starts: [Int32] = []
  private(set) var counts: [Int32] = []
  /// Fixed-point weights with 22 fractional bits, `stride` for each output pixel.
  private(set) var weights: [Int32] = []
  private(set) var stride = 0

  /// The range of input pixels that are used.
  var inputs: Range<Int> {
    guard let first = starts.first, let last = starts.last, let count = counts.last else {
      return 0..<0
    }
    return Int(first)..<Int(last + count)
  }

  /// Computes the weights for resizing from `size` to `outputs` pixels, reusing memory.
  mutating func compute(from size: Int, to outputs: Int, filter: ResizeFilter) {
    let scale = Double(Float(size)) / Double(outputs)
    let filterScale = max(scale, 1)
    let support = filter.support * filterScale
    stride = Int(support.rounded(.up)) * 2 + 1
    starts.removeAll(keepingCapacity: true)
    counts.removeAll(keepingCapacity: true)
    weights.removeAll(keepingCapacity: true)
    weights.reserveCapacity(stride * outputs)
    let inverse = 1 / filterScale
    var row = [Double](repeating: 0, count: stride)
    for output in 0..<outputs {
      let center = (Double(output) + 0.5) * scale
      let start = max(0, Int(center - support + 0.5))
      let count = min(size, Int(center + support + 0.5)) - start
      var sum = 0.0
      for i in 0..<count {
        let weight = filter.weight((Double(i + start) - center + 0.5) * inverse)
        row[i] = weight
        sum += weight
      }
      for i in 0..<stride {
        guard i < count else {
          weights.append(0)
          continue
        }
        let fixed = (sum != 0 ? row[i] / sum : row[i]) * Double(1 << 22)
        weights.append(Int32(fixed < 0 ? fixed - 0.5 : fixed + 0.5))
      }
      starts.append(Int32(start))
      counts.append(Int32(count))
    }
  }

  /// Calls `body` with the weights, with input pixels counted from `first`.
  func withWeights(from first: Int = 0, _ body: (ck_resize_weights) -> Void) {
    let shifted = first == 0 ? starts : starts.map { $0 - Int32(first) }
    shifted.withUnsafeBufferPointer { starts in
      counts.withUnsafeBufferPointer { counts in
        weights.withUnsafeBufferPointer { weights in
          body(
            ck_resize_weights(
              starts: starts.baseAddress, counts: counts.baseAddress,
              weights: weights.baseAddress, stride: Int32(stride)))
        }
      }
    }
  }
}
