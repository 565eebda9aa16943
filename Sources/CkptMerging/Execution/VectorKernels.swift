internal import CCkptKernels

/// The C kernels for float64 vectors, called with spans.
enum VectorKernels {
  /// The number of elements that are NaN.
  static func countNaN(_ values: Span<Double>) -> Int {
    values.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress else { return 0 }
      return ck_count_nan(base, values.count)
    }
  }

  /// The inner product of two vectors of the same length.
  static func dot(_ left: Span<Double>, _ right: Span<Double>) -> Double {
    precondition(left.count == right.count)
    return left.withUnsafeBufferPointer { left in
      right.withUnsafeBufferPointer { right in
        guard let a = left.baseAddress, let b = right.baseAddress else { return 0 }
        return ck_dot(a, b, left.count)
      }
    }
  }

  /// Adds `factor` times `values` to `sums`, which has the same length.
  static func add(
    _ values: Span<Double>, times factor: Double, to sums: inout MutableSpan<Double>
  ) {
    precondition(values.count == sums.count)
    values.withUnsafeBufferPointer { values in
      sums.withUnsafeMutableBufferPointer { sums in
        guard let from = values.baseAddress, let to = sums.baseAddress else { return }
        ck_add_scaled(to, from, factor, sums.count)
      }
    }
  }

  /// Adds `factor` times the elements of one range to those of another of the same length that does
  /// not overlap it.
  static func add(
    _ source: Range<Int>, times factor: Double, to target: Range<Int>,
    of all: inout MutableSpan<Double>
  ) {
    precondition(source.count == target.count && !source.overlaps(target))
    precondition(all.indices.contains(source) && all.indices.contains(target))
    all.withUnsafeMutableBufferPointer { all in
      guard let base = all.baseAddress else { return }
      ck_add_scaled(base + target.lowerBound, base + source.lowerBound, factor, source.count)
    }
  }
}
