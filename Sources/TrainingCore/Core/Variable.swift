/// A strided tensor in memory that records how it was computed, so that gradients can be computed:
/// PyTorch's `torch.Tensor`. (The name keeps it apart from `Tensor`, the lazily read tensor of a
/// checkpoint.)
///
/// Views, such as results of ``reshaped(_:)`` and ``permuted(_:)``, share memory. A variable must
/// not be used by several threads at once; operations use several threads themselves.
///
/// ```swift
/// let x = try Variable([1, 2, 3], shape: [3], requiresGrad: true)
/// try (x * x).sum().backward()
/// print(try x.grad?.floats() ?? [])  // [2.0, 4.0, 6.0]
/// ```
public class Variable {
  var memory: Memory
  /// The element type, `dtype` in PyTorch.
  public internal(set) var scalarType: ScalarType
  /// The sizes of the dimensions.
  public let shape: [Int]
  let strides: [Int]
  let offset: Int
  /// The operation that computed it; nil for a leaf.
  var node: Node?
  private var wantsGrad = false
  /// The sum of the gradients that ``backward(gradient:retainGraph:)`` computed for this leaf; nil
  /// before.
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

  /// A contiguous variable whose elements are not initialized.
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

  /// The number of dimensions.
  public var rank: Int { shape.count }
  /// The number of elements.
  public var count: Int { shape.reduce(1, *) }

  /// Whether gradients are computed for it. It is set on leaves of floating-point types; what is
  /// computed from such a leaf requires gradients, too.
  public var requiresGrad: Bool {
    get { wantsGrad || node != nil }
    set { wantsGrad = newValue && scalarType.isFloatingPoint }
  }

  /// Whether it was not computed from variables that require gradients.
  public var isLeaf: Bool { node == nil }

  var isContiguous: Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() where size != 1 {
      if stride != expected { return false }
      expected *= size
    }
    return true
  }

  /// A pointer to the first element; the variable must be kept alive while it is used.
  func pointer<T>(_: T.Type) -> UnsafeMutablePointer<T> {
    memory.pointer.assumingMemoryBound(to: T.self) + offset
  }

  /// Calls `body` with the elements of a contiguous variable.
  ///
  /// - Throws: what `body` throws.
  func withElements<T: BitwiseCopyable>(
    _ type: T.Type, _ body: (inout MutableSpan<T>) throws -> Void
  ) rethrows {
    precondition(isContiguous)
    var elements = UnsafeMutableBufferPointer(start: pointer(type), count: count).mutableSpan
    try body(&elements)
  }

  /// The index of a dimension; negative numbers count from the end.
  func axis(_ dimension: Int, _ operation: String) throws -> Int {
    let axis = dimension < 0 ? dimension + rank : dimension
    guard shape.indices.contains(axis) else {
      throw TrainingError.badArgument(
        operation: operation, problem: "no dimension \(dimension) in the shape \(shape)")
    }
    return axis
  }
}

/// Keeps variables alive up to this call while only pointers into them are used.
@inline(never)
func keepAlive(_ objects: Variable?...) {}

// MARK: - Making variables

extension Variable {
  /// A float32 variable of numbers in row-major order.
  ///
  /// - Throws: `TrainingError.badShape` if the shape has another number of elements;
  ///   `TrainingError.outOfMemory`.
  public convenience init(_ values: [Float], shape: [Int], requiresGrad: Bool = false) throws {
    try self.init(raw: values, .float32, shape)
    self.requiresGrad = requiresGrad
  }

  /// A float64 variable of numbers in row-major order.
  ///
  /// - Throws: `TrainingError.badShape` if the shape has another number of elements;
  ///   `TrainingError.outOfMemory`.
  public convenience init(doubles values: [Double], shape: [Int], requiresGrad: Bool = false) throws
  {
    try self.init(raw: values, .float64, shape)
    self.requiresGrad = requiresGrad
  }

  /// An int64 variable of integers in row-major order, such as class or token indices; of one
  /// dimension by default.
  ///
  /// - Throws: `TrainingError.badShape` if the shape has another number of elements;
  ///   `TrainingError.outOfMemory`.
  public convenience init(indices: [Int], shape: [Int]? = nil) throws {
    try self.init(raw: indices.map { Int64($0) }, .int64, shape ?? [indices.count])
  }

  /// A variable of type bool, in row-major order.
  ///
  /// - Throws: `TrainingError.badShape` if the shape has another number of elements;
  ///   `TrainingError.outOfMemory`.
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

  /// A variable whose elements are all `value`: `torch.full`.
  ///
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public static func full(
    _ shape: [Int], _ value: Double, _ scalarType: ScalarType = .float32
  ) throws -> Variable {
    let result = try Variable(empty: shape, scalarType)
    result.fill(value)
    return result
  }

  /// A variable whose elements are all 0: `torch.zeros`.
  ///
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public static func zeros(_ shape: [Int], _ scalarType: ScalarType = .float32) throws -> Variable {
    try full(shape, 0, scalarType)
  }

  /// A variable whose elements are all 1: `torch.ones`.
  ///
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public static func ones(_ shape: [Int], _ scalarType: ScalarType = .float32) throws -> Variable {
    try full(shape, 1, scalarType)
  }

  /// A variable of numbers from the normal distribution: `torch.normal`.
  ///
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public static func normal(
    _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1,
    _ scalarType: ScalarType = .float32,
    from random: RandomSource = .shared
  ) throws -> Variable {
    let values = random.normals(try byteCount(shape, .int64) / 8).map {
      mean + standardDeviation * $0
    }
    return scalarType == .float64
      ? try Variable(doubles: values, shape: shape)
      : try Variable(values.map(Float.init), shape: shape)
  }

  /// The integers from 0 on, up to but not including `count`: `torch.arange`.
  ///
  /// - Throws: `TrainingError.badShape` for sizes that no tensor has; `TrainingError.outOfMemory`.
  public static func arange(_ count: Int) throws -> Variable {
    try Variable(indices: Array(0..<max(count, 0)))
  }

  /// Sets every element of a contiguous variable, without gradients.
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
  /// The elements as float32, in row-major order.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  public func floats() throws -> [Float] {
    if scalarType == .float32 { return try elements(Float.self) }
    return try doubles().map { Float($0) }
  }

  /// The elements as float64, in row-major order.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  public func doubles() throws -> [Double] {
    switch scalarType {
    case .float32: try elements(Float.self).map(Double.init)
    case .float64: try elements(Double.self)
    case .int64: try elements(Int64.self).map(Double.init)
    case .bool: try elements(UInt8.self).map(Double.init)
    }
  }

  /// The elements of a variable of type int64 or bool, in row-major order.
  ///
  /// - Throws: `TrainingError.badType` for floating-point types; `TrainingError.outOfMemory`.
  public func integers() throws -> [Int] {
    switch scalarType {
    case .int64: return try elements(Int64.self).map { Int($0) }
    case .bool: return try elements(UInt8.self).map { Int($0) }
    default:
      throw TrainingError.badType(
        operation: "integers", problem: "the elements are \(scalarType.rawValue)")
    }
  }

  /// The element of a variable that has one: `item()`.
  ///
  /// - Throws: `TrainingError.badShape` unless there is exactly one element.
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

  /// A view of the same elements that is a leaf without gradients: `detach()`.
  public func detached() -> Variable {
    Variable(
      memory: memory, scalarType: scalarType, shape: shape, strides: strides, offset: offset)
  }
}

/// A variable that a module learns, which requires gradients unless it is frozen: PyTorch's
/// `nn.Parameter`.
public final class Parameter: Variable {
  /// The distribution from which its elements were drawn; nil if it was made otherwise.
  public internal(set) var initialization: Initialization?
}

/// A variable that belongs to a module's state but is not learned, such as running statistics:
/// PyTorch's `nn.Buffer`.
public final class Buffer: Variable {
  /// Whether it is part of the state dict.
  public internal(set) var isPersistent = true
  /// The number with which all elements were initialized, if it was one.
  var initialValue: Double?
}
