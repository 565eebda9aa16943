internal import CCkptTrainingKernels

// Loops over contiguous elements: kernels of `CCkptTrainingKernels` for float32, Swift for float64,
// which is used for gradient checks.

/// The same pointer, if its elements are 32-bit floats.
@inline(__always)
func asFloats<T>(_ pointer: UnsafePointer<T>) -> UnsafePointer<Float>? {
  T.self == Float.self ? UnsafeRawPointer(pointer).assumingMemoryBound(to: Float.self) : nil
}

/// The same pointer, if its elements are 32-bit floats.
@inline(__always)
func asFloats<T>(_ pointer: UnsafeMutablePointer<T>) -> UnsafeMutablePointer<Float>? {
  T.self == Float.self ? UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Float.self) : nil
}

/// The sum in double precision.
func doubleSum<T: Scalar>(_ values: UnsafePointer<T>, _ count: Int) -> Double {
  if let values = asFloats(values) { return ct_sum(values, Int64(count)) }
  var total = 0.0
  for i in 0..<count { total += Double(values[i]) }
  return total
}

/// The sum of squared distances from `center`, in double precision.
func squaredDistance<T: Scalar>(_ values: UnsafePointer<T>, _ count: Int, from center: T) -> Double
{
  if let values = asFloats(values) {
    return ct_squared_distance(values, Int64(count), Float(center))
  }
  var total = 0.0
  for i in 0..<count {
    let distance = Double(values[i] - center)
    total += distance * distance
  }
  return total
}

/// The sum of `g` and that of `g (x - center)`, in double precision.
func sumAndProduct<T: Scalar>(
  _ g: UnsafePointer<T>, _ x: UnsafePointer<T>, _ count: Int, from center: T
) -> (sum: Double, product: Double) {
  if let g = asFloats(g), let x = asFloats(x) {
    var result = (0.0, 0.0)
    withUnsafeMutableBytes(of: &result) {
      ct_sum_and_product(
        g, x, Int64(count), Float(center), $0.baseAddress?.assumingMemoryBound(to: Double.self))
    }
    return result
  }
  var (sum, product) = (0.0, 0.0)
  for i in 0..<count {
    sum += Double(g[i])
    product += Double(g[i]) * Double(x[i] - center)
  }
  return (sum, product)
}

/// `y = (x - center) factor + shift + addend`, not below 0 if `relu`.
func writeScaled<T: Scalar>(
  _ x: UnsafePointer<T>, adding addend: UnsafePointer<T>? = nil, _ y: UnsafeMutablePointer<T>,
  _ count: Int, center: T, factor: T, shift: T, relu: Bool = false
) {
  if let x = asFloats(x), let y = asFloats(y) {
    return ct_scale(
      x, addend.flatMap { asFloats($0) }, y, Int64(count), Float(center), Float(factor),
      Float(shift), relu ? 1 : 0)
  }
  for i in 0..<count {
    let value = (x[i] - center) * factor + shift + (addend?[i] ?? 0)
    y[i] = relu ? ReLUFunction.value(value) : value
  }
}

/// `passed = g` where a rectifier's output is positive, else 0; the sum of that and of
/// `passed (x - center)`, in double precision.
func reluSums<T: Scalar>(
  _ g: UnsafePointer<T>, _ output: UnsafePointer<T>, _ x: UnsafePointer<T>,
  into passed: UnsafeMutablePointer<T>, _ count: Int, from center: T
) -> (sum: Double, product: Double) {
  if let g = asFloats(g), let output = asFloats(output), let x = asFloats(x),
    let passed = asFloats(passed)
  {
    var result = (0.0, 0.0)
    withUnsafeMutableBytes(of: &result) {
      ct_relu_sums(
        g, output, x, passed, Int64(count), Float(center),
        $0.baseAddress?.assumingMemoryBound(to: Double.self))
    }
    return result
  }
  for i in 0..<count { passed[i] = output[i] > 0 ? g[i] : 0 }
  return sumAndProduct(passed, x, count, from: center)
}

/// `y = (g - average - (x - center) pull) factor`.
func writeScaledGradient<T: Scalar>(
  _ g: UnsafePointer<T>, _ x: UnsafePointer<T>, _ y: UnsafeMutablePointer<T>, _ count: Int,
  average: T, center: T, pull: T, factor: T
) {
  if let g = asFloats(g), let x = asFloats(x), let y = asFloats(y) {
    return ct_scale_gradient(
      g, x, y, Int64(count), Float(average), Float(center), Float(pull), Float(factor))
  }
  for i in 0..<count { y[i] = (g[i] - average - (x[i] - center) * pull) * factor }
}
