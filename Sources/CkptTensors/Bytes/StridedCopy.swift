/// Copies of elements at regular distances; bounds are checked once for each call.
enum StridedCopy {
  /// Copies `count` elements of `width` bytes (1, 2, 4, 8, or 16).
  ///
  /// Positions and distances are in elements, and not negative. Both spans must be aligned to
  /// `width`.
  ///
  /// - Parameters:
  ///   - from: the position of the first element in `source`.
  ///   - stride: the distance of neighbors in `source`.
  ///   - to: the position of the first element in `target`.
  ///   - step: the distance of neighbors in `target`.
  static func copy(
    _ count: Int, width: Int, from source: RawSpan, at from: Int, stride: Int,
    to target: inout MutableRawSpan, at to: Int, step: Int
  ) {
    guard count > 0 else { return }
    precondition(from >= 0 && to >= 0 && stride >= 0 && step >= 0)
    precondition((from + (count - 1) * stride + 1) * width <= source.byteCount)
    precondition((to + (count - 1) * step + 1) * width <= target.byteCount)
    target.withUnsafeMutableBytes { target in
      source.withUnsafeBytes { source in
        guard let source = source.baseAddress, let target = target.baseAddress else { return }
        func each<T>(_: T.Type) {
          let source = source.assumingMemoryBound(to: T.self)
          let target = target.assumingMemoryBound(to: T.self)
          for index in 0..<count { target[to + index * step] = source[from + index * stride] }
        }
        switch width {
        case _ where stride == 1 && step == 1:
          (target + to * width).copyMemory(from: source + from * width, byteCount: count * width)
        case 1: each(UInt8.self)
        case 2: each(UInt16.self)
        case 4: each(UInt32.self)
        case 8: each(UInt64.self)
        default: each((UInt64, UInt64).self)
        }
      }
    }
  }

  /// Overwrites, in each group of `count` consecutive parts of `size` bytes, all parts with the
  /// first one.
  static func repeatFirst(of count: Int, size: Int, in bytes: inout MutableRawSpan) {
    bytes.withUnsafeMutableBytes { bytes in
      for start in stride(from: 0, to: bytes.count, by: size * count) {
        let first = UnsafeRawBufferPointer(rebasing: bytes[start..<start + size])
        for index in 1..<count {
          let place = start + index * size
          UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + size])
            .copyMemory(from: first)
        }
      }
    }
  }
}
