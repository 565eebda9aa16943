internal import CCkptKernels

/// The conversion of elements of one dtype to another, bit for bit as in PyTorch's
/// `tensor.to(dtype)` on a CPU.
///
/// Numbers are rounded to nearest even. Numbers out of the target's range become infinite; in
/// `float8_e4m3fnuz`, `float8_e5m2fnuz`, and `float8_e8m0fnu` they become NaN, in `float8_e4m3fn`
/// 448. Integers are truncated toward zero and keep their low bits. Floating-point numbers out of
/// an integer type's range, which is undefined in C++, give the results of PyTorch on x86. The
/// imaginary part is dropped when a complex number becomes real; as a bool it is true unless both
/// parts are 0. Bytes are little-endian.
package struct ElementConversion: Sendable, Hashable {
  /// The dtype to convert from.
  package let source: DType
  /// The dtype to convert to.
  package let target: DType

  private let path: Path

  /// The intermediate type of the conversion.
  private enum Path: Hashable {
    case copy
    case float32(from: Int32, to: Int32)
    case float64(from: Int32, to: Int32, clearsNaN: Bool)
    case int64(from: Int32, to: Int32)
  }

  /// Creates the conversion from `source` to `target`.
  ///
  /// - Throws: `TensorError.noConversion` for quantized, packed, and bit types, unless both are the
  ///   same.
  package init(from source: DType, to target: DType) throws(TensorError) {
    self.source = source
    self.target = target
    if source == target {
      path = .copy
      return
    }
    guard let from = source.realPart.kernelCode, let to = target.realPart.kernelCode else {
      throw .noConversion(from: source, to: target)
    }
    let (fromFloat, toFloat) = (source.isFloat, target.isFloat)
    if source.realPart == target.realPart, !(source == .float16 && target == .complex32) {
      path = .copy
    } else if !fromFloat && !toFloat {
      path = .int64(from: from, to: to)
    } else if toFloat && target.realPart != .float64 {
      let narrow =
        target == .bfloat16 && fromFloat && (source.byteCount <= 2 || source.isComplex)
      path = .float32(from: from, to: narrow ? Int32(CK_BFLOAT16_FROM_NARROW) : to)
    } else {
      // In PyTorch, a NaN of these three types becomes 0, whereas a NaN of other types becomes the
      // minimum of the integer type.
      let clears =
        !toFloat && target != .bool
        && [.float8E4M3FNUZ, .float8E5M2FNUZ, .float8E8M0FNU].contains(source)
      path = .float64(from: from, to: to, clearsNaN: clears)
    }
  }

  /// Whether `source` can be converted to `target`.
  package static func isSupported(from source: DType, to target: DType) -> Bool {
    (try? ElementConversion(from: source, to: target)) != nil
  }

  /// Counts of numbers that a conversion cannot represent.
  package struct Losses: Sendable, Hashable {
    /// The number of finite numbers that became infinite, NaN, the bound of the range, or a wrapped
    /// integer.
    package var overflowed = 0
    /// The number of nonzero numbers that became zero.
    package var vanished = 0

    /// Creates counts of 0.
    package init() {}

    /// Adds counts.
    package static func += (left: inout Losses, right: Losses) {
      left.overflowed += right.overflowed
      left.vanished += right.vanished
    }
  }

  private static let blockCount = 1024

  /// Converts elements until `target` is full.
  ///
  /// The buffers may be unaligned. They must not overlap.
  package func convert(from source: RawSpan, to target: inout MutableRawSpan) {
    source.withUnsafeBytes { source in
      target.withUnsafeMutableBytes { _ = run(source, $0, counting: false) }
    }
  }

  /// Converts elements until `target` is full, and returns the counts of numbers that cannot be
  /// represented.
  package func convertCountingLosses(
    from source: RawSpan, to target: inout MutableRawSpan
  ) -> Losses {
    source.withUnsafeBytes { source in
      target.withUnsafeMutableBytes { run(source, $0, counting: true) }
    }
  }

  private func run(
    _ source: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer, counting: Bool
  ) -> Losses {
    var losses = Losses()
    let count = target.count / self.target.byteCount
    precondition(source.count >= count * self.source.byteCount)
    if self.source == self.target {
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<target.count]))
      return losses
    }
    if !counting, !self.source.isComplex, !self.target.isComplex,
      Self.isAligned(source, self.source),
      Self.isAligned(UnsafeRawBufferPointer(target), self.target)
    {
      runDirectly(source, target, count)
      return losses
    }
    // Memory for a block of elements: as input, as output, and twice in the intermediate type.
    withUnsafeTemporaryAllocation(byteCount: 4 * 8 * Self.blockCount, alignment: 64) { room in
      let parts = (0..<4).map {
        UnsafeMutableRawBufferPointer(
          rebasing: room[$0 * 8 * Self.blockCount..<($0 + 1) * 8 * Self.blockCount])
      }
      for start in stride(from: 0, to: count, by: Self.blockCount) {
        let part = min(Self.blockCount, count - start)
        let from = UnsafeRawBufferPointer(
          rebasing: source[start * self.source.byteCount..<(start + part) * self.source.byteCount])
        let to = UnsafeMutableRawBufferPointer(
          rebasing: target[start * self.target.byteCount..<(start + part) * self.target.byteCount])
        gatherRealParts(from, parts[0], part)
        convertReal(UnsafeRawBufferPointer(parts[0]), parts[1], parts[2], part)
        scatterRealParts(parts[1], to, part)
        if counting { losses += countLosses(parts[0], parts[1], parts[2], parts[3], part) }
        if self.source.isComplex && self.target == .bool {
          gatherRealParts(from, parts[0], part, imaginary: true)
          convertReal(UnsafeRawBufferPointer(parts[0]), parts[1], parts[2], part)
          for index in 0..<part { to[index] |= parts[1][index] }
        }
        if self.source.isComplex && self.target.isComplex {
          gatherRealParts(from, parts[0], part, imaginary: true)
          convertReal(UnsafeRawBufferPointer(parts[0]), parts[1], parts[2], part)
          scatterRealParts(parts[1], to, part, imaginary: true)
          if counting { losses += countLosses(parts[0], parts[1], parts[2], parts[3], part) }
        }
      }
    }
    return losses
  }

  private static func isAligned(_ buffer: UnsafeRawBufferPointer, _ type: DType) -> Bool {
    Int(bitPattern: buffer.baseAddress) % type.byteCount == 0
  }

  private func runDirectly(
    _ source: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer, _ count: Int
  ) {
    withUnsafeTemporaryAllocation(byteCount: 8 * Self.blockCount, alignment: 64) { between in
      for start in stride(from: 0, to: count, by: Self.blockCount) {
        convertReal(
          UnsafeRawBufferPointer(rebasing: source[(start * self.source.byteCount)...]),
          UnsafeMutableRawBufferPointer(rebasing: target[(start * self.target.byteCount)...]),
          between, min(Self.blockCount, count - start))
      }
    }
  }

  /// Converts one block of real numbers, with `between` as memory for the intermediate type.
  private func convertReal(
    _ source: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer,
    _ between: UnsafeMutableRawBufferPointer, _ count: Int
  ) {
    guard let from = source.baseAddress, let to = target.baseAddress,
      let middle = between.baseAddress
    else { return }
    switch path {
    case .copy: to.copyMemory(from: from, byteCount: count * self.target.realPart.byteCount)
    case .float32(let fromCode, let toCode):
      let middle = middle.assumingMemoryBound(to: Float.self)
      ck_load_float32(fromCode, from, middle, count)
      ck_store_float32(toCode, middle, to, count)
    case .float64(let fromCode, let toCode, let clearsNaN):
      let middle = middle.assumingMemoryBound(to: Double.self)
      ck_load_float64(fromCode, from, middle, count)
      if clearsNaN { ck_clear_nan(middle, count) }
      ck_store_float64(toCode, middle, to, count)
    case .int64(let fromCode, let toCode):
      let middle = middle.assumingMemoryBound(to: Int64.self)
      ck_load_int64(fromCode, from, middle, count)
      ck_store_int64(toCode, middle, to, count)
    }
  }

  /// Compares a block with its conversion and counts the numbers that could not be represented.
  private func countLosses(
    _ source: UnsafeMutableRawBufferPointer, _ target: UnsafeMutableRawBufferPointer,
    _ before: UnsafeMutableRawBufferPointer, _ after: UnsafeMutableRawBufferPointer, _ count: Int
  ) -> Losses {
    var losses = Losses()
    guard self.target != .bool, let from = source.baseAddress, let to = target.baseAddress,
      let before = before.baseAddress?.assumingMemoryBound(to: Double.self),
      let after = after.baseAddress?.assumingMemoryBound(to: Double.self),
      let fromCode = self.source.realPart.kernelCode, let toCode = self.target.realPart.kernelCode
    else { return losses }
    ck_load_float64(fromCode, from, before, count)
    ck_load_float64(toCode, to, after, count)
    // In `float8_e4m3fn`, numbers out of range become the maximum, so they are recognized by their
    // magnitude.
    let limit = self.target == .float8E4M3FN ? 464 : Double.infinity
    let found =
      self.target.isFloat
      ? ck_count_losses(before, after, limit, count) : ck_count_integer_losses(before, after, count)
    losses.overflowed = found.overflowed
    losses.vanished = found.vanished
    return losses
  }

  private func gatherRealParts(
    _ source: UnsafeRawBufferPointer, _ target: UnsafeMutableRawBufferPointer, _ count: Int,
    imaginary: Bool = false
  ) {
    guard self.source.isComplex else {
      target.copyMemory(from: source)
      return
    }
    let width = self.source.realPart.byteCount
    for index in 0..<count {
      let position = 2 * index * width + (imaginary ? width : 0)
      for byte in 0..<width { target[index * width + byte] = source[position + byte] }
    }
  }

  private func scatterRealParts(
    _ source: UnsafeMutableRawBufferPointer, _ target: UnsafeMutableRawBufferPointer, _ count: Int,
    imaginary: Bool = false
  ) {
    let width = self.target.realPart.byteCount
    guard self.target.isComplex else {
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[..<(count * width)]))
      return
    }
    for index in 0..<count {
      let position = 2 * index * width + (imaginary ? width : 0)
      for byte in 0..<width { target[position + byte] = source[index * width + byte] }
      // For a real number the imaginary part is 0; for a complex number it is converted in a second
      // pass.
      if !imaginary { for byte in 0..<width { target[position + width + byte] = 0 } }
    }
  }
}

extension DType {
  /// Whether the type is a real floating-point type of 8 bits or more, or a complex type.
  package var isFloat: Bool {
    switch self {
    case .float64, .float32, .float16, .bfloat16, .float8E4M3FN, .float8E5M2, .float8E4M3FNUZ,
      .float8E5M2FNUZ, .float8E8M0FNU, .complex32, .complex64, .complex128:
      true
    default: false
    }
  }

  /// Whether the type is complex.
  package var isComplex: Bool { self == .complex32 || self == .complex64 || self == .complex128 }

  /// Whether the type is an integer type of whole bytes; false for `bool`.
  package var isInteger: Bool {
    switch self {
    case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64: true
    default: false
    }
  }

  /// The type of a complex type's two parts; for other types, the type itself.
  package var realPart: DType {
    switch self {
    case .complex32: .float16
    case .complex64: .float32
    case .complex128: .float64
    default: self
    }
  }

  /// The type's number in the C kernels; nil for types whose elements are not plain numbers.
  var kernelCode: Int32? {
    let code: Int
    switch self {
    case .float64: code = CK_FLOAT64
    case .float32: code = CK_FLOAT32
    case .float16: code = CK_FLOAT16
    case .bfloat16: code = CK_BFLOAT16
    case .float8E4M3FN: code = CK_FLOAT8_E4M3FN
    case .float8E5M2: code = CK_FLOAT8_E5M2
    case .float8E4M3FNUZ: code = CK_FLOAT8_E4M3FNUZ
    case .float8E5M2FNUZ: code = CK_FLOAT8_E5M2FNUZ
    case .float8E8M0FNU: code = CK_FLOAT8_E8M0FNU
    case .int8: code = CK_INT8
    case .int16: code = CK_INT16
    case .int32: code = CK_INT32
    case .int64: code = CK_INT64
    case .uint8: code = CK_UINT8
    case .uint16: code = CK_UINT16
    case .uint32: code = CK_UINT32
    case .uint64: code = CK_UINT64
    case .bool: code = CK_BOOL
    default: return nil
    }
    return Int32(code)
  }
}
