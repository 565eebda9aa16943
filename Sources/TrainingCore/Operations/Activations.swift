internal import CCkptTrainingKernels

/// A function that has C kernels for float32.
protocol KernelFunction: UnaryFunction {
  /// Computes n values y = f(x).
  typealias Kernel = (_ x: UnsafePointer<Float>?, _ y: UnsafeMutablePointer<Float>?, _ n: Int64)
    -> Void
  /// Computes n gradients y = g f'(x), from the argument or the value that is saved.
  typealias GradientKernel = (
    _ g: UnsafePointer<Float>?, _ saved: UnsafePointer<Float>?, _ y: UnsafeMutablePointer<Float>?,
    _ n: Int64
  ) -> Void

  static var kernel: Kernel { get }
  static var gradientKernel: GradientKernel { get }
}

extension KernelFunction {
  static func write(
    _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) -> Bool {
    kernel(x, y, Int64(count))
    return true
  }

  static func writeSlopes(
    _ g: UnsafePointer<Float>, _ saved: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
    _ count: Int
  ) -> Bool {
    gradientKernel(g, saved, y, Int64(count))
    return true
  }
}

/// max(x, 0).
enum ReLUFunction: KernelFunction {
  static var name: StaticString { "relu" }
  static var slopeFromValue: Bool { true }
  // NaN is preserved, as in PyTorch.
  static func value<T: Scalar>(_ x: T) -> T { x < 0 ? 0 : x }
  static func slope<T: Scalar>(_ y: T) -> T { y > 0 ? 1 : 0 }

  static var kernel: Kernel { ct_relu }
  static var gradientKernel: GradientKernel { ct_relu_gradient }
}

/// min(max(x, 0), 6).
enum ReLU6Function: UnaryFunction {
  static var name: StaticString { "relu6" }
  static var slopeFromValue: Bool { true }
  // NaN is preserved, as in PyTorch.
  static func value<T: Scalar>(_ x: T) -> T { x < 0 ? 0 : (x > 6 ? 6 : x) }
  static func slope<T: Scalar>(_ y: T) -> T { y > 0 && y < 6 ? 1 : 0 }
}

/// 1 / (1 + exp(-x)).
enum SigmoidFunction: UnaryFunction {
  static var name: StaticString { "sigmoid" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { 1 / (1 + T.exp(-x)) }
  static func slope<T: Scalar>(_ y: T) -> T { y * (1 - y) }
}

/// The hyperbolic tangent.
enum TanhFunction: UnaryFunction {
  static var name: StaticString { "tanh" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { T.tanh(x) }
  static func slope<T: Scalar>(_ y: T) -> T { 1 - y * y }
}

/// The exponential function.
enum ExpFunction: UnaryFunction {
  static var name: StaticString { "exp" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { T.exp(x) }
  static func slope<T: Scalar>(_ y: T) -> T { y }
}

/// The natural logarithm.
enum LogFunction: UnaryFunction {
  static var name: StaticString { "log" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { T.log(x) }
  static func slope<T: Scalar>(_ x: T) -> T { 1 / x }
}

/// The square root.
enum SquareRootFunction: UnaryFunction {
  static var name: StaticString { "sqrt" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { x.squareRoot() }
  static func slope<T: Scalar>(_ y: T) -> T { 1 / (2 * y) }
}

/// The absolute value.
enum AbsFunction: UnaryFunction {
  static var name: StaticString { "abs" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { x.magnitude }
  static func slope<T: Scalar>(_ x: T) -> T { x > 0 ? 1 : (x < 0 ? -1 : 0) }
}

/// x / (1 + exp(-x)).
enum SiLUFunction: KernelFunction {
  static var name: StaticString { "silu" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { x / (1 + T.exp(-x)) }
  static func slope<T: Scalar>(_ x: T) -> T {
    let s = 1 / (1 + T.exp(-x))
    return s * (1 + x * (1 - s))
  }

  static var kernel: Kernel { ct_silu }
  static var gradientKernel: GradientKernel { ct_silu_gradient }
}

/// x Φ(x), where Φ is the distribution function of the standard normal distribution.
enum GELUFunction: KernelFunction {
  static var name: StaticString { "gelu" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { x * (1 + T.erf(x * T(0.5).squareRoot())) / 2 }
  static func slope<T: Scalar>(_ x: T) -> T {
    let below = (1 + T.erf(x * T(0.5).squareRoot())) / 2
    let density = T.exp(-x * x / 2) * (1 / (2 * T.pi).squareRoot())
    return below + x * density
  }

  static var kernel: Kernel { ct_gelu }
  static var gradientKernel: GradientKernel { ct_gelu_gradient }
}

/// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))): Hendrycks and Gimpel, arXiv:1606.08415.
enum TanhGELUFunction: KernelFunction {
  static var name: StaticString { "gelu_tanh" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T {
    let inner = (2 / T.pi).squareRoot() * (x + T(0.044715) * x * x * x)
    return x * (1 + T.tanh(inner)) / 2
  }
  static func slope<T: Scalar>(_ x: T) -> T {
    let factor = (2 / T.pi).squareRoot()
    let t = T.tanh(factor * (x + T(0.044715) * x * x * x))
    let inner = factor * (1 + 3 * T(0.044715) * x * x)
    return (1 + t) / 2 + x * (1 - t * t) * inner / 2
  }

  static var kernel: Kernel { ct_gelu_tanh }
  static var gradientKernel: GradientKernel { ct_gelu_tanh_gradient }
}

extension Variable {
  /// max(x, 0): `torch.relu`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func relu() throws -> Variable { try apply(ReLUFunction.self) }
  /// min(max(x, 0), 6): `F.relu6`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func relu6() throws -> Variable { try apply(ReLU6Function.self) }
  /// 1 / (1 + exp(-x)): `torch.sigmoid`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func sigmoid() throws -> Variable { try apply(SigmoidFunction.self) }
  /// The hyperbolic tangent: `torch.tanh`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func tanh() throws -> Variable { try apply(TanhFunction.self) }
  /// The exponential function: `torch.exp`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func exp() throws -> Variable { try apply(ExpFunction.self) }
  /// The natural logarithm: `torch.log`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func log() throws -> Variable { try apply(LogFunction.self) }
  /// The square root: `torch.sqrt`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func sqrt() throws -> Variable { try apply(SquareRootFunction.self) }
  /// The absolute value: `torch.abs`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func abs() throws -> Variable { try apply(AbsFunction.self) }
  /// x / (1 + exp(-x)), also called swish: `F.silu`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func silu() throws -> Variable { try apply(SiLUFunction.self) }
  /// max(x, 0) + slope · min(x, 0): `F.leaky_relu`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func leakyReLU(negativeSlope: Double = 0.01) throws -> Variable {
    try relu() - (-self).relu() * negativeSlope
  }
  /// x min(max(x + 3, 0), 6) / 6: `F.hardswish`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func hardswish() throws -> Variable {
    try self * (self + 3).relu6() * (1.0 / 6)
  }
  /// min(max(x + 3, 0), 6) / 6: `F.hardsigmoid`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func hardsigmoid() throws -> Variable { try (self + 3).relu6() * (1.0 / 6) }

  /// x Φ(x), where Φ is the distribution function of the standard normal distribution, exact or
  /// approximated by tanh: `F.gelu`.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public func gelu(_ approximate: GELU.Approximation = .none) throws -> Variable {
    switch approximate {
    case .none: try apply(GELUFunction.self)
    case .tanh: try apply(TanhGELUFunction.self)
    }
  }

  /// Each element is set to zero with a probability p; the others are multiplied by 1 / (1 - p) so
  /// that the mean is kept: `F.dropout` in training mode.
  ///
  /// - Parameters:
  ///   - probability: p, from 0 to 1.
  ///   - random: the source that decides which.
  /// - Throws: `TrainingError.badArgument` if p is not between 0 and 1;
  ///   `TrainingError.outOfMemory`.
  public func dropout(_ probability: Double, from random: RandomSource = .shared) throws -> Variable
  {
    try Self.checkDropout(probability)
    if probability == 0 { return self }
    let mask = try Variable(empty: shape, scalarType)
    var generator = SplitMix(state: random.next())
    let scale = probability == 1 ? 0 : 1 / (1 - probability)
    func go<T: Scalar>(_: T.Type) {
      let to = mask.pointer(T.self)
      for i in 0..<count { to[i] = generator.uniform() < probability ? 0 : T(scale) }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
    return try self * mask
  }

  /// Throws unless `probability` is from 0 to 1.
  static func checkDropout(_ probability: Double) throws {
    guard (0...1).contains(probability) else {
      throw TrainingError.badArgument(
        operation: "dropout", problem: "\(probability) is no probability")
    }
  }
}
