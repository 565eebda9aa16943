/// A strided tensor in memory that remembers how it was computed, so that gradients can be found.
///
/// What `torch.Tensor` is in PyTorch; the name keeps it apart from the lazy ``Tensor`` of a file.
/// Views (``reshaped(_:)``, ``permuted(_:)``, slices) share memory. Not to be used by several threads
/// at once; operations use threads themselves.
///
/// ```swift
/// let x = try Variable([1, 2, 3], shape: [3], requiresGrad: true)
/// try (x * x).sum().backward()
/// print(try x.grad?.floats() ?? [])  // [2.0, 4.0, 6.0]
/// ```
public class Variable {
  var memory: Memory
  /// What its elements are.
  public internal(set) var scalarType: ScalarType
  /// The sizes of its dimensions.
  public let shape: [Int]
  let strides: [Int]
  let offset: Int
  /// The operation that it came from; nil for a leaf.
  var node: Node?
  private var wantsGrad = false
  /// The sum of the gradients that ``backward(gradient:retainGraph:)`` found for this leaf.
  public var grad: Variable?

  /// A view of `memory`.
  init(
    memory: Memory, scalarType: ScalarType, shape: [Int], strides: [Int]? = nil, offset: Int = 0
  ) {
    self.memory = memory
    self.scalarType = scalarType
    self.shape = shape
    self.strides = strides ?? Self.contiguousStrides(shape)
    self.offset = offset
  }

  /// A contiguous variable with whatever is in its memory.
  convenience init(empty shape: [Int], _ scalarType: ScalarType) throws {
    let byteCount = try Self.byteCount(shape, scalarType)
    try self.init(memory: Memory(byteCount: byteCount), scalarType: scalarType, shape: shape)
  }

  static func byteCount(_ shape: [Int], _ scalarType: ScalarType) throws -> Int {
    var count = scalarType.byteCount
    for size in shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !overflow else {
        throw TrainingError.badShape(
          operation: "variable", problem: "the shape \(shape) is impossible")
      }
      count = next
    }
    return count
  }

  static func contiguousStrides(_ shape: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: shape.count)
    var step = 1
    for dimension in shape.indices.reversed() {
      strides[dimension] = step
      step *= max(shape[dimension], 1)
    }
    return strides
  }

  /// How many dimensions it has.
  public var rank: Int { shape.count }
  /// How many elements it has.
  public var count: Int { shape.reduce(1, *) }

  /// Whether gradients are wanted for it. Only leaves can be told; whatever is computed from such a
  /// leaf wants them too.
  public var requiresGrad: Bool {
    get { wantsGrad || node != nil }
    set { wantsGrad = newValue && scalarType.isFloatingPoint }
  }

  /// Whether it was made by hand rather than computed from what wants gradients.
  public var isLeaf: Bool { node == nil }

  var isContiguous: Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      if stride != expected { return false }
      expected *= size
    }
    return true
  }

  /// Where its first element is. The variable must be kept alive while the pointer is used.
  func pointer<T>(_: T.Type) -> UnsafeMutablePointer<T> {
    memory.pointer.assumingMemoryBound(to: T.self) + offset
  }

  /// The number of a dimension, counted from the end where negative.
  func dimension(_ number: Int, _ operation: String) throws -> Int {
    let dimension = number < 0 ? number + rank : number
    guard shape.indices.contains(dimension) else {
      throw TrainingError.badArgument(
        operation: operation, problem: "no dimension \(number) in the shape \(shape)")
    }
    return dimension
  }
}

/// Keeps objects alive to here while only pointers into them are used.
@inline(never)
func keepAlive(_ objects: Variable?...) {}

// MARK: - Making variables

extension Variable {
  /// A new 32-bit variable of those numbers, in row-major order.
  public convenience init(_ values: [Float], shape: [Int], requiresGrad: Bool = false) throws {
    try self.init(raw: values, .float32, shape)
    self.requiresGrad = requiresGrad
  }

  /// A new 64-bit variable of those numbers, in row-major order.
  public convenience init(doubles values: [Double], shape: [Int], requiresGrad: Bool = false) throws
  {
    try self.init(raw: values, .float64, shape)
    self.requiresGrad = requiresGrad
  }

  /// A new variable of integers, such as class or token numbers; a list unless `shape` says else.
  public convenience init(indices: [Int], shape: [Int]? = nil) throws {
    try self.init(raw: indices.map { Int64($0) }, .int64, shape ?? [indices.count])
  }

  /// A new mask, in row-major order.
  public convenience init(mask: [Bool], shape: [Int]) throws {
    try self.init(raw: mask.map { $0 ? UInt8(1) : 0 }, .bool, shape)
  }

  private convenience init<T>(raw values: [T], _ scalarType: ScalarType, _ shape: [Int]) throws {
    let byteCount = try Self.byteCount(shape, scalarType)
    guard byteCount == values.count * MemoryLayout<T>.stride else {
      throw TrainingError.badShape(
        operation: "variable", problem: "\(values.count) values do not fill the shape \(shape)")
    }
    try self.init(empty: shape, scalarType)
    values.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(start: memory.pointer, count: byteCount).copyMemory(from: $0)
    }
  }

  /// Every element is `value`.
  public static func full(
    _ shape: [Int], _ value: Double, _ scalarType: ScalarType = .float32
  ) throws -> Variable {
    let result = try Variable(empty: shape, scalarType)
    result.fill(value)
    return result
  }

  /// Every element is 0.
  public static func zeros(_ shape: [Int], _ scalarType: ScalarType = .float32) throws -> Variable {
    try full(shape, 0, scalarType)
  }

  /// Every element is 1.
  public static func ones(_ shape: [Int], _ scalarType: ScalarType = .float32) throws -> Variable {
    try full(shape, 1, scalarType)
  }

  /// Numbers from the normal distribution.
  public static func normal(
    _ shape: [Int], mean: Double = 0, deviation: Double = 1, _ scalarType: ScalarType = .float32,
    from random: RandomSource = .shared
  ) throws -> Variable {
    let values = random.normals(try byteCount(shape, .int64) / 8).map { mean + deviation * $0 }
    return scalarType == .float64
      ? try Variable(doubles: values, shape: shape)
      : try Variable(values.map(Float.init), shape: shape)
  }

  /// 0, 1, 2, … as integers.
  public static func range(_ count: Int) throws -> Variable {
    try Variable(indices: Array(0..<max(count, 0)))
  }

  /// Sets every element of a contiguous variable; no gradient flows through this.
  func fill(_ value: Double) {
    let count = count
    switch scalarType {
    case .float32: pointer(Float.self).update(repeating: Float(value), count: count)
    case .float64: pointer(Double.self).update(repeating: value, count: count)
    case .int64:
      let whole = Int64(exactly: value.rounded()) ?? (value > 0 ? .max : .min)
      pointer(Int64.self).update(repeating: whole, count: count)
    case .bool: pointer(UInt8.self).update(repeating: value == 0 ? 0 : 1, count: count)
    }
  }
}

// MARK: - Looking at elements

extension Variable {
  /// The elements as 32-bit floats, in row-major order.
  public func floats() throws -> [Float] {
    if scalarType == .float32 { return try elements(Float.self) }
    return try doubles().map { Float($0) }
  }

  /// The elements as 64-bit floats, in row-major order.
  public func doubles() throws -> [Double] {
    switch scalarType {
    case .float32: try elements(Float.self).map(Double.init)
    case .float64: try elements(Double.self)
    case .int64: try elements(Int64.self).map(Double.init)
    case .bool: try elements(UInt8.self).map(Double.init)
    }
  }

  /// The elements as integers, in row-major order; those of a float type are refused.
  public func integers() throws -> [Int] {
    switch scalarType {
    case .int64: return try elements(Int64.self).map { Int($0) }
    case .bool: return try elements(UInt8.self).map { Int($0) }
    default:
      throw TrainingError.badType(
        operation: "integers", problem: "the elements are \(scalarType.rawValue)")
    }
  }

  /// The only element.
  public func item() throws -> Double {
    guard count == 1 else {
      throw TrainingError.badShape(operation: "item", problem: "the shape is \(shape)")
    }
    return try doubles()[0]
  }

  private func elements<T>(_: T.Type) throws -> [T] {
    let source = try contiguous()
    defer { keepAlive(source) }
    return Array(UnsafeBufferPointer(start: source.pointer(T.self), count: count))
  }

  /// The same elements and memory, without the way that they were computed.
  public func detached() -> Variable {
    Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides, offset: offset)
  }
}

/// A variable that a module learns; gradients are wanted unless it is frozen.
public final class Parameter: Variable {
  /// How its elements were drawn; nil for one that was made otherwise.
  public internal(set) var initialization: Initialization?
}

/// A variable that belongs to a module's state but is not learnt, such as running statistics.
public final class Buffer: Variable {
  /// Whether it is part of the state dict.
  public internal(set) var isPersistent = true
  /// What every element was at first, if that was one number.
  var initialValue: Double?
}
