internal import Foundation

extension Collection where Element == Parameter {
  /// Scales all gradients by one factor so that their total norm is at most `maxNorm`, in place:
  /// PyTorch's `torch.nn.utils.clip_grad_norm_`. The factor is `maxNorm / (total norm + 1e-6)`.
  ///
  /// - Parameters:
  ///   - maxNorm: the largest total norm that is left as it is.
  ///   - normType: the order p of the norm: 2 for the Euclidean norm, infinity for the largest
  ///     magnitude.
  /// - Returns: the total norm before.
  /// - Throws: `TrainingError.badArgument` for a negative `maxNorm` or a `normType` that is not
  ///   positive.
  @discardableResult
  public func clipGradNorm(maxNorm: Double, normType: Double = 2) throws -> Double {
    guard normType > 0, maxNorm >= 0 else {
      throw TrainingError.badArgument(
        operation: "clip_grad_norm", problem: "the norm \(normType) of at most \(maxNorm)")
    }
    let total = try totalGradNorm(normType: normType)
    let factor = maxNorm / (total + 1e-6)
    if factor < 1 || factor.isNaN {
      scaleGrad(by: factor)
    }
    return total
  }

  /// Multiplies every gradient by `factor`, in place.
  package func scaleGrad(by factor: Double) {
    for gradient in compactMap(\.grad) { gradient.scale(by: factor) }
  }

  /// The norm of all gradients as if they were one vector: PyTorch's
  /// `torch.nn.utils.get_total_norm`.
  ///
  /// - Parameter normType: the order p of the norm: 2 for the Euclidean norm, infinity for the
  ///   largest magnitude.
  /// - Returns: (Σ |g|^p)^(1/p) in double precision; 0 if no parameter has a gradient.
  /// - Throws: `TrainingError.outOfMemory` where a gradient that is not contiguous cannot be
  ///   copied.
  public func totalGradNorm(normType: Double = 2) throws -> Double {
    var total = 0.0
    for gradient in compactMap(\.grad) {
      for value in try gradient.doubles() {
        let size = value.magnitude
        if normType == .infinity {
          total = size > total || size.isNaN ? size : total
        } else if normType == 2 {
          total += size * size
        } else if normType == 1 {
          total += size
        } else {
          total += Foundation.pow(size, normType)
        }
      }
    }
    if normType == .infinity || normType == 1 { return total }
    return normType == 2 ? total.squareRoot() : Foundation.pow(total, 1 / normType)
  }

  /// Limits every element of every gradient to `-clipValue...clipValue`, in place: PyTorch's
  /// `torch.nn.utils.clip_grad_value_`.
  ///
  /// - Parameter clipValue: the largest magnitude that is left as it is.
  /// - Throws: `TrainingError.badArgument` if `clipValue` is negative.
  public func clipGradValue(clipValue: Double) throws {
    guard clipValue >= 0 else {
      throw TrainingError.badArgument(operation: "clip_grad_value", problem: "at most \(clipValue)")
    }
    for gradient in compactMap(\.grad) { gradient.clamp(to: clipValue) }
  }
}

extension Variable {
  /// Multiplies every element by `factor`, in place and without gradients.
  fileprivate func scale(by factor: Double) {
    func go<T: Scalar>(_: T.Type) {
      let to = pointer(T.self)
      for i in 0..<count { to[i] *= T(factor) }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
  }

  /// Limits every element to `-limit...limit`, in place and without gradients.
  fileprivate func clamp(to limit: Double) {
    func go<T: Scalar>(_: T.Type) {
      let to = pointer(T.self)
      let limit = T(limit)
      for i in 0..<count { to[i] = to[i] > limit ? limit : to[i] < -limit ? -limit : to[i] }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
  }
}
