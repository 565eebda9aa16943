internal import Foundation

/// How the elements of a new parameter are drawn.
public enum Initialization: Sendable, Hashable {
  /// All the same.
  case constant(Double)
  /// Evenly between two bounds.
  case uniform(Double, Double)
  /// From the normal distribution.
  case normal(mean: Double, deviation: Double)
  /// From the normal distribution, drawn again where beyond two deviations from the mean.
  case truncatedNormal(mean: Double, deviation: Double)
  /// Evenly, so that the signal keeps its size behind a leaky rectifier of slope `a` (He et al.,
  /// arXiv:1502.01852): within √(6 / ((1 + a²) fan-in)).
  case kaimingUniform(a: Double)
  /// From the normal distribution of deviation √(2 / fan-out), as torchvision's ResNets have it.
  case kaimingNormalFanOut
  /// Evenly within √(6 / (fan-in + fan-out)) (Glorot and Bengio, 2010).
  case xavierUniform

  /// How many inputs and outputs a weight of that shape has.
  static func fans(_ shape: [Int]) -> (input: Int, output: Int) {
    guard shape.count >= 2 else { return (max(shape.first ?? 1, 1), max(shape.first ?? 1, 1)) }
    let field = shape.dropFirst(2).reduce(1, *)
    return (max(shape[1] * field, 1), max(shape[0] * field, 1))
  }

  /// The deviation that elements so drawn have.
  public func deviation(for shape: [Int]) -> Double {
    let fans = Self.fans(shape)
    return switch self {
    case .constant: 0
    case .uniform(let low, let high): (high - low) / 12.0.squareRoot()
    case .normal(_, let deviation): deviation
    // The variance of a normal distribution cut at ±2 deviations: 1 - 4 φ(2) / (2 Φ(2) - 1).
    case .truncatedNormal(_, let deviation): deviation * 0.879_625_663_247_9
    case .kaimingUniform(let a): (2 / ((1 + a * a) * Double(fans.input))).squareRoot()
    case .kaimingNormalFanOut: (2 / Double(fans.output)).squareRoot()
    case .xavierUniform: (2 / Double(fans.input + fans.output)).squareRoot()
    }
  }

  /// Writes elements for a parameter of that shape.
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
      let bound = deviation(for: shape) * 3.0.squareRoot()
      uniform(-bound, bound)
    case .kaimingNormalFanOut: normal(0, deviation(for: shape), limit: .infinity)
    }
  }
}

extension Parameter {
  /// A trainable parameter whose elements are drawn when they are first looked at; what is loaded
  /// before is never drawn. What is drawn depends on the source's seed and the order in which
  /// parameters are made.
  public convenience init(
    _ shape: [Int], _ initialization: Initialization, from random: RandomSource = .shared
  ) throws {
    try self.init(shape, initialization, zeroing: 0..<0, from: random)
  }

  /// - Parameter zeros: elements that are zero all the same.
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

  /// Draws the elements anew, in place, as when the parameter was made.
  public func reset(from random: RandomSource = .shared) {
    if let initialization { reinitialize(initialization, from: random) }
  }

  /// Draws the elements anew, in place; ``reset(from:)`` does so again.
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
  /// A buffer whose elements are all the same.
  public convenience init(
    _ shape: [Int], _ value: Double, _ scalarType: ScalarType = .float32, isPersistent: Bool = true
  ) throws {
    try self.init(empty: shape, scalarType)
    self.isPersistent = isPersistent
    initialValue = value
    fill(value)
  }

  /// Sets every element to what it was when the buffer was made of one number.
  public func reset() {
    if let initialValue { fill(initialValue) }
  }

  /// A buffer with those elements.
  public convenience init(_ values: Variable, isPersistent: Bool = true) throws {
    let copy = try values.detached().copied()
    self.init(memory: copy.memory, scalarType: copy.scalarType, shape: copy.shape)
    self.isPersistent = isPersistent
  }
}
