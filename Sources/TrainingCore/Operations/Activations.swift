internal import CTrainingKernels

/// PyTorch's elementwise functions.
enum ReLUFunction: UnaryFunction {
  static var name: StaticString { "relu" }
  static var slopeFromValue: Bool { true }
  // A NaN stays one, as in PyTorch.
  static func value<T: Scalar>(_ x: T) -> T { x < 0 ? 0 : x }
  static func slope<T: Scalar>(_ y: T) -> T { y > 0 ? 1 : 0 }

  static func write(
    _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) -> Bool {
    ct_relu(x, y, Int64(count))
    return true
  }

  static func writeSlopes(
    _ g: UnsafePointer<Float>, _ saved: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
    _ count: Int
  ) -> Bool {
    ct_relu_gradient(g, saved, y, Int64(count))
    return true
  }
}

enum SigmoidFunction: UnaryFunction {
  static var name: StaticString { "sigmoid" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { 1 / (1 + T.exp(-x)) }
  static func slope<T: Scalar>(_ y: T) -> T { y * (1 - y) }
}

enum TanhFunction: UnaryFunction {
  static var name: StaticString { "tanh" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { T.tanh(x) }
  static func slope<T: Scalar>(_ y: T) -> T { 1 - y * y }
}

enum ExpFunction: UnaryFunction {
  static var name: StaticString { "exp" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { T.exp(x) }
  static func slope<T: Scalar>(_ y: T) -> T { y }
}

enum LogFunction: UnaryFunction {
  static var name: StaticString { "log" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { T.log(x) }
  static func slope<T: Scalar>(_ x: T) -> T { 1 / x }
}

enum SquareRootFunction: UnaryFunction {
  static var name: StaticString { "sqrt" }
  static var slopeFromValue: Bool { true }
  static func value<T: Scalar>(_ x: T) -> T { x.squareRoot() }
  static func slope<T: Scalar>(_ y: T) -> T { 1 / (2 * y) }
}

enum AbsFunction: UnaryFunction {
  static var name: StaticString { "abs" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { x.magnitude }
  static func slope<T: Scalar>(_ x: T) -> T { x > 0 ? 1 : (x < 0 ? -1 : 0) }
}

enum SiLUFunction: UnaryFunction {
  static var name: StaticString { "silu" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { x / (1 + T.exp(-x)) }
  static func slope<T: Scalar>(_ x: T) -> T {
    let s = 1 / (1 + T.exp(-x))
    return s * (1 + x * (1 - s))
  }

  static func write(
    _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) -> Bool {
    ct_silu(x, y, Int64(count))
    return true
  }

  static func writeSlopes(
    _ g: UnsafePointer<Float>, _ saved: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
    _ count: Int
  ) -> Bool {
    ct_silu_gradient(g, saved, y, Int64(count))
    return true
  }
}

/// x Φ(x) with the normal distribution's own Φ.
enum GELUFunction: UnaryFunction {
  static var name: StaticString { "gelu" }
  static var slopeFromValue: Bool { false }
  static func value<T: Scalar>(_ x: T) -> T { x * (1 + T.erf(x * T(0.5).squareRoot())) / 2 }
  static func slope<T: Scalar>(_ x: T) -> T {
    let below = (1 + T.erf(x * T(0.5).squareRoot())) / 2
    let density = T.exp(-x * x / 2) * (1 / (2 * T.pi).squareRoot())
    return below + x * density
  }

  static func write(
    _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) -> Bool {
    ct_gelu(x, y, Int64(count))
    return true
  }

  static func writeSlopes(
    _ g: UnsafePointer<Float>, _ saved: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
    _ count: Int
  ) -> Bool {
    ct_gelu_gradient(g, saved, y, Int64(count))
    return true
  }
}

/// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))): Hendrycks and Gimpel, arXiv:1606.08415.
enum TanhGELUFunction: UnaryFunction {
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

  static func write(
    _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) -> Bool {
    ct_gelu_tanh(x, y, Int64(count))
    return true
  }

  static func writeSlopes(
    _ g: UnsafePointer<Float>, _ saved: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
    _ count: Int
  ) -> Bool {
    ct_gelu_tanh_gradient(g, saved, y, Int64(count))
    return true
  }
}

extension Variable {
  /// max(x, 0).
  public func relu() throws -> Variable { try apply(ReLUFunction.self) }
  /// 1 / (1 + exp(-x)).
  public func sigmoid() throws -> Variable { try apply(SigmoidFunction.self) }
  /// The hyperbolic tangent.
  public func tanh() throws -> Variable { try apply(TanhFunction.self) }
  /// The exponential function.
  public func exp() throws -> Variable { try apply(ExpFunction.self) }
  /// The natural logarithm.
  public func log() throws -> Variable { try apply(LogFunction.self) }
  /// The square root.
  public func squareRoot() throws -> Variable { try apply(SquareRootFunction.self) }
  /// The magnitude.
  public func abs() throws -> Variable { try apply(AbsFunction.self) }
  /// x sigmoid(x), also called swish.
  public func silu() throws -> Variable { try apply(SiLUFunction.self) }

  /// x Φ(x), exact or approximated by tanh.
  public func gelu(_ approximation: GELU.Approximation = .none) throws -> Variable {
    switch approximation {
    case .none: try apply(GELUFunction.self)
    case .tanh: try apply(TanhGELUFunction.self)
    }
  }

  /// The elements, each zeroed with the given probability and the others scaled up to keep the mean.
  public func dropout(_ probability: Double, from random: RandomSource = .shared) throws -> Variable
  {
    guard (0...1).contains(probability) else {
      throw TrainingError.badArgument(
        operation: "dropout", problem: "\(probability) is no probability")
    }
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
}
