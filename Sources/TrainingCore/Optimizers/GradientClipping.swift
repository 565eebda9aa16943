internal import Foundation

/// Limits on gradients before a step.
public enum GradientClipping {
  /// Scales all gradients together so that their common norm is at most `most`: `clip_grad_norm_`.
  ///
  /// - Parameters:
  ///   - power: which norm: 2 for the Euclidean, infinity for the largest magnitude.
  /// - Returns: the norm before.
  /// - Throws: `TrainingError.badArgument` for a norm that makes no sense.
  @discardableResult
  public static func norm(_ parameters: [Parameter], most: Double, power: Double = 2) throws
    -> Double
  {
    guard power > 0, most >= 0 else {
      throw TrainingError.badArgument(
        operation: "clip_grad_norm", problem: "the norm \(power) of at most \(most)")
    }
    let total = try totalNorm(parameters, power: power)
    let factor = most / (total + 1e-6)
    if factor < 1 || factor.isNaN {
      for gradient in parameters.compactMap(\.grad) { try gradient.scale(by: factor) }
    }
    return total
  }

  /// The common norm of all gradients.
  public static func totalNorm(_ parameters: [Parameter], power: Double = 2) throws -> Double {
    var total = 0.0
    for gradient in parameters.compactMap(\.grad) {
      for value in try gradient.doubles() {
        let size = value.magnitude
        if power == .infinity {
          total = size > total || size.isNaN ? size : total
        } else if power == 2 {
          total += size * size
        } else if power == 1 {
          total += size
        } else {
          total += Foundation.pow(size, power)
        }
      }
    }
    if power == .infinity || power == 1 { return total }
    return power == 2 ? total.squareRoot() : Foundation.pow(total, 1 / power)
  }

  /// Brings every element of every gradient into `-most...most`: `clip_grad_value_`.
  public static func value(_ parameters: [Parameter], most: Double) throws {
    guard most >= 0 else {
      throw TrainingError.badArgument(operation: "clip_grad_value", problem: "at most \(most)")
    }
    for gradient in parameters.compactMap(\.grad) { try gradient.clamp(to: most) }
  }
}

extension Variable {
  /// Multiplies every element in place; no gradients.
  func scale(by factor: Double) throws {
    func go<T: Scalar>(_: T.Type) {
      let to = pointer(T.self)
      for i in 0..<count { to[i] *= T(factor) }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
  }

  fileprivate func clamp(to most: Double) throws {
    func go<T: Scalar>(_: T.Type) {
      let to = pointer(T.self)
      let limit = T(most)
      for i in 0..<count { to[i] = to[i] > limit ? limit : to[i] < -limit ? -limit : to[i] }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
  }
}
