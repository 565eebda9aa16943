internal import Foundation

/// A distribution from which the elements of a new parameter are drawn: the functions of PyTorch's
/// `torch.nn.init`.
///
/// For a weight of shape [outputs, inputs, kernel sizes...], fan-in is inputs times the kernel's
/// elements and fan-out outputs times the kernel's elements.
public enum Initialization: Sendable, Hashable {
  /// Every element is this number: `constant_`.
  case constant(Double)
  /// The uniform distribution between a lower and an upper bound: `uniform_`.
  case uniform(Double, Double)
  /// The normal distribution: `normal_`.
  case normal(mean: Double, standardDeviation: Double)
  /// The normal distribution, drawn again where more than two standard deviations from the mean:
  /// `trunc_normal_` with bounds at two standard deviations.
  case truncatedNormal(mean: Double, standardDeviation: Double)
  /// The uniform distribution within √(6 / ((1 + a²) fan-in)): `kaiming_uniform_` (He et al.,
  /// arXiv:1502.01852), for layers followed by a leaky rectifier of negative slope `a`.
  case kaimingUniform(a: Double)
  /// The normal distribution of standard deviation √(2 / fan-out): `kaiming_normal_` with
  /// `mode="fan_out"`, as torchvision's ResNets have it.
  case kaimingNormalFanOut
  /// The uniform distribution within √(6 / (fan-in + fan-out)): `xavier_uniform_` (Glorot and
  /// Bengio, 2010).
  case xavierUniform

  /// The fan-in and fan-out of a weight of that shape.
  static func fans(_ shape: [Int]) -> (input: Int, output: Int) {
    guard shape.count >= 2 else { return (max(shape.first ?? 1, 1), max(shape.first ?? 1, 1)) }
    let field = shape.dropFirst(2).reduce(1, *)
    return (max(shape[1] * field, 1), max(shape[0] * field, 1))
  }

  /// The standard deviation of the elements of a parameter of that shape.
  package func standardDeviation(for shape: [Int]) -> Double {
    let fans = Self.fans(shape)
    return switch self {
    case .constant: 0
    case .uniform(let low, let high): (high - low) / 12.0.squareRoot()
    case .normal(_, let deviation): deviation
    // The variance of a standard normal distribution cut at ±2: 1 - 4 φ(2) / (2 Φ(2) - 1).
    case .truncatedNormal(_, let deviation): deviation * 0.879_625_663_247_9
    case .kaimingUniform(let a): (2 / ((1 + a * a) * Double(fans.input))).squareRoot()
    case .kaimingNormalFanOut: (2 / Double(fans.output)).squareRoot()
    case .xavierUniform: (2 / Double(fans.input + fans.output)).squareRoot()
    }
  }

  /// Draws the elements of a parameter of that shape into memory.
  func write<T: Scalar>(
    to elements: UnsafeMutablePointer<T>, shape: [Int], random: inout SplitMix
  ) {
    let count = shape.reduce(1, *)
    func uniform(_ low: Double, _ high: Double) {
      for i in 0..<count { elements[i] = T(low + (high - low) * random.uniform()) }
    }
    func normal(_ mean: Double, _ deviation: Double, limit: Double) {
      for i in 0..<count {
        var value = random.normal()
        while abs(value) > limit { value = random.normal() }
        elements[i] = T(mean + deviation * value)
      }
    }
    switch self {
    case .constant(let value): elements.update(repeating: T(value), count: count)
    case .uniform(let low, let high): uniform(low, high)
    case .normal(let mean, let deviation): normal(mean, deviation, limit: .infinity)
    case .truncatedNormal(let mean, let deviation): normal(mean, deviation, limit: 2)
    case .kaimingUniform, .xavierUniform:
      let bound = standardDeviation(for: shape) * 3.0.squareRoot()
      uniform(-bound, bound)
    case .kaimingNormalFanOut: normal(0, standardDeviation(for: shape), limit: .infinity)
    }
  }
}

extension Parameter {
  /// A 32-bit parameter whose elements are drawn when they are first read; a parameter that is
  /// loaded before is never drawn. The elements depend on the source's seed and on how many
  /// parameters were made from it before.
  ///
  /// - Parameters:
  ///   - shape: the sizes of the dimensions.
  ///   - initialization: the distribution of the elements.
  ///   - random: the source of the elements.
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public convenience init(
    _ shape: [Int], _ initialization: Initialization, from random: RandomSource = .shared
  ) throws {
    try self.init(shape, initialization, zeroing: 0..<0, from: random)
  }

  /// A parameter as above in which a range of elements is zero.
  convenience init(
    _ shape: [Int], _ initialization: Initialization, zeroing zeros: Range<Int>,
    from random: RandomSource
  ) throws {
    let byteCount = try Self.byteCount(shape, .float32)
    let seed = random.next()
    let memory = try Memory(byteCount: byteCount) { memory in
      var generator = SplitMix(state: seed)
      initialization.write(
        to: memory.assumingMemoryBound(to: Float.self), shape: shape, random: &generator)
      (memory.assumingMemoryBound(to: Float.self) + zeros.lowerBound)
        .update(repeating: 0, count: zeros.count)
    }
    self.init(memory: memory, scalarType: .float32, shape: shape)
    self.initialization = initialization
    requiresGrad = true
  }

  /// Draws all elements again, in place, from the distribution with which the parameter was made;
  /// does nothing if it was made otherwise.
  public func reset(from random: RandomSource = .shared) {
    if let initialization { reinitialize(initialization, from: random) }
  }

  /// Has the elements drawn from another distribution when they are first read, for modules that do
  /// not begin with PyTorch's defaults; a parameter that is loaded before is never drawn. The
  /// parameter has 32 bits then.
  ///
  /// - Returns: the parameter itself.
  /// - Throws: `TrainingError.outOfMemory`.
  @discardableResult
  public func initializing(
    by initialization: Initialization, from random: RandomSource = .shared
  ) throws -> Parameter {
    let seed = random.next()
    let shape = shape
    memory = try Memory(byteCount: Self.byteCount(shape, .float32)) { memory in
      var generator = SplitMix(state: seed)
      initialization.write(
        to: memory.assumingMemoryBound(to: Float.self), shape: shape, random: &generator)
    }
    scalarType = .float32
    return self
  }

  /// Draws all elements again, in place, from another distribution, which ``reset(from:)`` then
  /// uses, too.
  public func reinitialize(
    _ initialization: Initialization, from random: RandomSource = .shared
  ) {
    self.initialization = initialization
    var generator = SplitMix(state: random.next())
    scalarType == .float64
      ? initialization.write(to: pointer(Double.self), shape: shape, random: &generator)
      : initialization.write(to: pointer(Float.self), shape: shape, random: &generator)
  }
}

extension Buffer {
  /// A buffer whose elements are all the same number.
  ///
  /// - Parameters:
  ///   - shape: the sizes of the dimensions.
  ///   - value: the number.
  ///   - scalarType: the element type.
  ///   - isPersistent: whether the buffer is part of the state dict.
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public convenience init(
    _ shape: [Int], _ value: Double, _ scalarType: ScalarType = .float32, isPersistent: Bool = true
  ) throws {
    try self.init(empty: shape, scalarType)
    self.isPersistent = isPersistent
    initialValue = value
    fill(value)
  }

  /// Sets every element to the number with which the buffer was made; does nothing if it was made
  /// otherwise.
  public func reset() {
    if let initialValue { fill(initialValue) }
  }

  /// A buffer with a copy of a variable's elements.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  public convenience init(_ values: Variable, isPersistent: Bool = true) throws {
    let copy = try values.detached().copied()
    self.init(memory: copy.memory, scalarType: copy.scalarType, shape: copy.shape)
    self.isPersistent = isPersistent
  }
}
