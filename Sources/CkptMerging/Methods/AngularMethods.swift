internal import Foundation

/// The factors of the methods that rotate vectors rather than adding them, computed from inner
/// products.
///
/// Each function takes the row-major `count` by `count` matrix of inner products and returns a
/// factor for each input.
enum AngularMethods {
  /// SLERP (Shoemake, 1985) from the first input (`t` = 0) to the second (1); nearly parallel or
  /// opposite vectors are interpolated linearly.
  static func slerp(t: Double) -> @Sendable ([Double], Int) -> [Double] {
    { products, _ in
      let first = products[0].squareRoot(), second = products[3].squareRoot()
      let dot = clamp(products[1] / ((first > 1e-8 ? first : 1) * (second > 1e-8 ? second : 1)))
      guard abs(dot) <= 0.9995 else { return [1 - t, t] }
      let angle = acos(dot)
      return [sin((1 - t) * angle) / sin(angle), sin(t * angle) / sin(angle)]
    }
  }

  /// NuSLERP, as in mergekit: as SLERP, but only vectors that are parallel or opposite to within
  /// rounding are interpolated linearly.
  static func nuSlerp(t: Double) -> @Sendable ([Double], Int) -> [Double] {
    { products, _ in
      let lengths = max(products[0].squareRoot(), 1e-7) * max(products[3].squareRoot(), 1e-7)
      let dot = clamp(products[1] / lengths)
      guard 1 - dot * dot > 1e-16 else { return [1 - t, t] }
      let angle = acos(dot)
      return [sin((1 - t) * angle) / sin(angle), sin(t * angle) / sin(angle)]
    }
  }

  /// Multi-SLERP (Goddard): the weighted mean in the tangent space at the weighted mean direction.
  ///
  /// - Throws: `MergeError.noMean` if the weighted directions of other than two inputs sum to zero.
  static func multiSlerp(weights: [Double]) -> @Sendable ([Double], Int) throws -> [Double] {
    { products, count in
      let lengths = (0..<count).map { products[$0 * count + $0].squareRoot() }
      let scales = lengths.map { 1 / ($0 + 1e-8) }
      /// The inner product of two combinations of the unit vectors.
      func dot(_ left: [Double], _ right: [Double]) -> Double {
        inner(products, scales, left, right)
      }
      let meanLength = max(dot(weights, weights), 0).squareRoot()
      guard meanLength >= 1e-8 else {
        if count == 2 { return weights }
        throw MergeError.noMean
      }
      let mean = weights.map { $0 / meanLength }
      var tangent = weights
      for index in 0..<count {
        let along = weights[index] * dot(axis(index, count), mean)
        for other in 0..<count { tangent[other] -= along * mean[other] }
      }
      let angle = max(dot(tangent, tangent), 0).squareRoot() + 1e-8
      let length = zip(lengths, weights).reduce(0) { $0 + $1.0 * $1.1 }
      return (0..<count).map {
        length * (mean[$0] * cos(angle) + tangent[$0] * sin(angle) / angle) * scales[$0]
      }
    }
  }

  /// The Karcher mean with equal weights: the point on the sphere with the smallest sum of squared
  /// distances. Inputs no longer than `tolerance` are ignored.
  static func karcher(
    maxIterations: Int, tolerance: Double
  ) -> @Sendable ([Double], Int) -> [Double] {
    { products, count in
      let lengths = (0..<count).map { products[$0 * count + $0].squareRoot() }
      let valid = (0..<count).filter { lengths[$0] > tolerance }
      guard let first = valid.first else { return [Double](repeating: 0, count: count) }
      let scales = lengths.map { $0 == 0 ? 0 : 1 / $0 }
      func dot(_ left: [Double], _ right: [Double]) -> Double {
        inner(products, scales, left, right)
      }
      let share = 1 / Double(valid.count)
      var mean = (0..<count).map { valid.contains($0) ? share : 0 }
      let meanLength = max(dot(mean, mean), 0).squareRoot()
      mean = meanLength < tolerance ? axis(first, count) : mean.map { $0 / meanLength }
      for _ in 0..<maxIterations {
        var tangent = [Double](repeating: 0, count: count)
        for index in valid {
          let cosine = clamp(dot(mean, axis(index, count)))
          let angle = acos(cosine)
          guard angle >= tolerance else { continue }
          let factor = share * angle / sin(angle)
          for other in 0..<count { tangent[other] -= factor * cosine * mean[other] }
          tangent[index] += factor
        }
        let step = max(dot(tangent, tangent), 0).squareRoot()
        guard step >= tolerance else { break }
        mean = zip(mean, tangent).map { cos(step) * $0 + sin(step) * $1 / step }
        let length = max(dot(mean, mean), 0).squareRoot()
        if length > tolerance { mean = mean.map { $0 / length } }
      }
      let length = lengths.reduce(0, +) / Double(count)
      return (0..<count).map { length * mean[$0] * scales[$0] }
    }
  }

  /// Model Stock (Jang et al., 2024): the interpolation factor from the base to the average, from
  /// the mean cosine of the angles between the task vectors.
  static func modelStock(_ products: [Double], _ count: Int) -> [Double] {
    var sum = 0.0
    for left in 0..<count {
      for right in left + 1..<count {
        let lengths =
          products[left * count + left].squareRoot() * products[right * count + right].squareRoot()
        sum += clamp(products[left * count + right] / max(lengths, 1e-6))
      }
    }
    let cosine = sum / Double(count * (count - 1) / 2)
    let divisor = 1 + Double(count - 1) * cosine
    let t = abs(divisor) < 1e-6 ? 0 : Double(count) * cosine / divisor
    return [Double](repeating: t / Double(count), count: count)
  }

  private static func clamp(_ value: Double) -> Double { min(max(value, -1), 1) }

  /// The unit vector with a 1 at `index`.
  private static func axis(_ index: Int, _ count: Int) -> [Double] {
    (0..<count).map { $0 == index ? 1 : 0 }
  }

  /// The inner product of two combinations of the scaled inputs.
  private static func inner(
    _ products: [Double], _ scales: [Double], _ left: [Double], _ right: [Double]
  ) -> Double {
    var sum = 0.0
    let count = scales.count
    for row in 0..<count where left[row] != 0 {
      for column in 0..<count {
        sum +=
          left[row] * right[column] * products[row * count + column] * scales[row] * scales[column]
      }
    }
    return sum
  }
}
