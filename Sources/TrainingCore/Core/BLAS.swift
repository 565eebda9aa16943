internal import CkptPlatform
internal import Synchronization

/// Matrix products by OpenBLAS or Accelerate: `cblas_sgemm` and `cblas_dgemm`.
///
/// The library is loaded at the first product. Loading takes about 6 ms, which commands that only
/// edit checkpoints avoid. Its own threads are turned off; operations distribute products to
/// threads themselves.
struct BLAS: Sendable {
  private typealias Single =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>, Int32,
      UnsafePointer<Float>, Int32, Float, UnsafeMutablePointer<Float>, Int32
    ) -> Void
  private typealias Both =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Double, UnsafePointer<Double>, Int32,
      UnsafePointer<Double>, Int32, Double, UnsafeMutablePointer<Double>, Int32
    ) -> Void

  private let single: Single
  private let double: Both
  /// Whether several threads may call the library at the same time. OpenBLAS built without threads
  /// uses one scratch buffer for all callers, which makes products wrong without an error (observed
  /// with Debian's libopenblas0-serial).
  private let isThreadSafe: Bool

  private static let turn = Mutex(())

  private static let loaded: BLAS? = {
    guard let library = DynamicLibrary(firstOf: DynamicLibrary.blasNames),
      let single = library.function("cblas_sgemm", as: Single.self),
      let double = library.function("cblas_dgemm", as: Both.self)
    else { return nil }
    typealias SetThreads = @convention(c) (Int32) -> Void
    library.function("openblas_set_num_threads", as: SetThreads.self)?(1)
    typealias GetParallel = @convention(c) () -> Int32
    let parallel = library.function("openblas_get_parallel", as: GetParallel.self)?()
    return BLAS(single: single, double: double, isThreadSafe: parallel != 0)
  }()

  /// The library, which is loaded at the first call.
  ///
  /// - Throws: `TrainingError.noBLAS`.
  static func shared() throws -> BLAS {
    guard let loaded else { throw TrainingError.noBLAS }
    return loaded
  }

  /// A matrix operand: row-major with `stride` elements from row to row, possibly transposed.
  struct Matrix<T> {
    var elements: UnsafePointer<T>
    var stride: Int
    var isTransposed = false

    init(_ elements: UnsafePointer<T>, _ stride: Int, transposed: Bool = false) {
      self.elements = elements
      self.stride = stride
      isTransposed = transposed
    }
  }

  /// `c = a b + beta c` where `a` is m × k, `b` is k × n (as read, transposed or not), on one
  /// thread.
  func multiply<T: Scalar>(
    _ m: Int, _ n: Int, _ k: Int, _ a: Matrix<T>, _ b: Matrix<T>, adding beta: T = 0,
    to c: UnsafeMutablePointer<T>, _ cStride: Int
  ) {
    if m == 0 || n == 0 { return }
    if isThreadSafe { return multiplyNow(m, n, k, a, b, adding: beta, to: c, cStride) }
    Self.turn.withLock { _ in multiplyNow(m, n, k, a, b, adding: beta, to: c, cStride) }
  }

  private func multiplyNow<T: Scalar>(
    _ m: Int, _ n: Int, _ k: Int, _ a: Matrix<T>, _ b: Matrix<T>, adding beta: T,
    to c: UnsafeMutablePointer<T>, _ cStride: Int
  ) {
    let (transposeA, transposeB): (Int32, Int32) = (
      a.isTransposed ? 112 : 111, b.isTransposed ? 112 : 111
    )
    let sizes = (Int32(m), Int32(n), Int32(k))
    let strides = (Int32(max(a.stride, 1)), Int32(max(b.stride, 1)), Int32(max(cStride, 1)))
    if T.self == Float.self {
      single(
        101, transposeA, transposeB, sizes.0, sizes.1, sizes.2, 1,
        UnsafeRawPointer(a.elements).assumingMemoryBound(to: Float.self), strides.0,
        UnsafeRawPointer(b.elements).assumingMemoryBound(to: Float.self), strides.1, Float(beta),
        UnsafeMutableRawPointer(c).assumingMemoryBound(to: Float.self), strides.2)
    } else {
      double(
        101, transposeA, transposeB, sizes.0, sizes.1, sizes.2, 1,
        UnsafeRawPointer(a.elements).assumingMemoryBound(to: Double.self), strides.0,
        UnsafeRawPointer(b.elements).assumingMemoryBound(to: Double.self), strides.1, Double(beta),
        UnsafeMutableRawPointer(c).assumingMemoryBound(to: Double.self), strides.2)
    }
  }

  /// The same product on several threads, which share the rows or the columns of `c`.
  func multiplyInParallel<T: Scalar>(
    _ m: Int, _ n: Int, _ k: Int, _ a: Matrix<T>, _ b: Matrix<T>, adding beta: T = 0,
    to c: UnsafeMutablePointer<T>, _ cStride: Int
  ) {
    guard m * n * k > 1 << 17, max(m, n) >= 32 else {
      return multiply(m, n, k, a, b, adding: beta, to: c, cStride)
    }
    if m >= n {
      ComputeThreads.split((m + 15) / 16) { blocks in
        let rows = blocks.lowerBound * 16..<min(blocks.upperBound * 16, m)
        var part = a
        part.elements += rows.lowerBound * (a.isTransposed ? 1 : a.stride)
        multiply(
          rows.count, n, k, part, b, adding: beta, to: c + rows.lowerBound * cStride, cStride)
      }
    } else {
      ComputeThreads.split((n + 15) / 16) { blocks in
        let columns = blocks.lowerBound * 16..<min(blocks.upperBound * 16, n)
        var part = b
        part.elements += columns.lowerBound * (b.isTransposed ? b.stride : 1)
        multiply(m, columns.count, k, a, part, adding: beta, to: c + columns.lowerBound, cStride)
      }
    }
  }
}
