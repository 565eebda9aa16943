internal import CCkptKernels

/// The C kernels that convert bytes of elements to numbers, called with spans.
///
/// `code` is the ``DType/kernelCode`` of a dtype; the bytes may be unaligned.
enum ElementKernels {
  /// Sets all `numbers` to the elements at the start of `bytes`, rounded to nearest even if float32
  /// cannot represent them.
  static func load(_ bytes: RawSpan, _ code: Int32, to numbers: inout MutableSpan<Float>) {
    bytes.withUnsafeBytes { bytes in
      numbers.withUnsafeMutableBufferPointer { numbers in
        guard let from = bytes.baseAddress, let to = numbers.baseAddress else { return }
        ck_load_float32(code, from, to, numbers.count)
      }
    }
  }

  /// Sets all `numbers` to the elements at the start of `bytes`; 64-bit integers are rounded to
  /// nearest even.
  static func load(_ bytes: RawSpan, _ code: Int32, to numbers: inout MutableSpan<Double>) {
    bytes.withUnsafeBytes { bytes in
      numbers.withUnsafeMutableBufferPointer { numbers in
        guard let from = bytes.baseAddress, let to = numbers.baseAddress else { return }
        ck_load_float64(code, from, to, numbers.count)
      }
    }
  }

  /// Negates all numbers.
  static func negate(_ numbers: inout MutableSpan<Float>) {
    numbers.withUnsafeMutableBufferPointer { numbers in
      if let base = numbers.baseAddress { ck_negate_float32(base, numbers.count) }
    }
  }

  /// Negates all numbers.
  static func negate(_ numbers: inout MutableSpan<Double>) {
    numbers.withUnsafeMutableBufferPointer { numbers in
      if let base = numbers.baseAddress { ck_negate_float64(base, numbers.count) }
    }
  }
}
