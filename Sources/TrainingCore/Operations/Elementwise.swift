internal import CCkptTrainingKernels

/// A function of one number, with its derivative.
protocol UnaryFunction {
  static var name: StaticString { get }
  /// Whether the derivative is computed from the function's value rather than from its argument.
  static var slopeFromValue: Bool { get }
  static func value<T: Scalar>(_ x: T) -> T
  /// The derivative; `saved` is the value or the argument.
  static func slope<T: Scalar>(_ saved: T) -> T
  /// Computes `count` values by a C kernel; false if there is none.
  static func write(
    _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) -> Bool
  /// Computes `count` gradients times derivatives by a C kernel; false if there is none.
  static func writeSlopes(
    _ g: UnsafePointer<Float>, _ saved: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
    _ count: Int
  ) -> Bool
}

extension UnaryFunction {
  static func write(
    _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) -> Bool { false }

  static func writeSlopes(
    _ g: UnsafePointer<Float>, _ saved: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>,
    _ count: Int
  ) -> Bool { false }
}

/// A function of two numbers.
protocol BinaryFunction {
  static func value<T: Scalar>(_ a: T, _ b: T) -> T
}

enum Add: BinaryFunction { static func value<T: Scalar>(_ a: T, _ b: T) -> T { a + b } }
enum Subtract: BinaryFunction { static func value<T: Scalar>(_ a: T, _ b: T) -> T { a - b } }
enum Multiply: BinaryFunction { static func value<T: Scalar>(_ a: T, _ b: T) -> T { a * b } }
enum Divide: BinaryFunction { static func value<T: Scalar>(_ a: T, _ b: T) -> T { a / b } }

/// The number of elements below which elementwise work stays on one thread.
let elementGrain = 16384

extension Variable {
  /// A new contiguous variable of `function` of each element of the contiguous `self`; no
  /// gradients.
  func mapped<F: UnaryFunction>(_: F.Type) throws -> Variable {
    let source = try contiguous()
    let result = try Variable(empty: shape, scalarType)
    func go<T: Scalar>(_: T.Type) {
      let from = source.pointer(T.self)
      let to = result.pointer(T.self)
      ComputeThreads.split(count, grain: elementGrain) { range in
        let first = range.lowerBound
        if let from = asFloats(UnsafePointer(from)), let to = asFloats(to),
          F.write(from + first, to: to + first, range.count)
        {
          return
        }
        for i in range { to[i] = F.value(from[i]) }
      }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
    keepAlive(source)
    return result
  }

  /// `function` of each element.
  func apply<F: UnaryFunction>(_: F.Type) throws -> Variable {
    try requireFloats(F.name)
    let result = try mapped(F.self)
    let saved = F.slopeFromValue ? result.detached() : self
    return result.computed(by: F.name, from: [self]) { gradient in
      let gradient = try gradient.contiguous()
      let saved = try saved.contiguous()
      let input = try Variable(empty: gradient.shape, gradient.scalarType)
      func go<T: Scalar>(_: T.Type) {
        let g = gradient.pointer(T.self)
        let s = saved.pointer(T.self)
        let to = input.pointer(T.self)
        ComputeThreads.split(input.count, grain: elementGrain) { range in
          let first = range.lowerBound
          if let g = asFloats(UnsafePointer(g)), let s = asFloats(UnsafePointer(s)),
            let to = asFloats(to), F.writeSlopes(g + first, s + first, to: to + first, range.count)
          {
            return
          }
          for i in range { to[i] = g[i] * F.slope(s[i]) }
        }
      }
      gradient.scalarType == .float64 ? go(Double.self) : go(Float.self)
      keepAlive(gradient, saved)
      return [input]
    }
  }

  func requireFloats(_ operation: StaticString) throws {
    guard scalarType.isFloatingPoint else {
      throw TrainingError.badType(
        operation: "\(operation)", problem: "the elements are \(scalarType.rawValue)")
    }
  }

  /// The shape that two shapes are broadcast to, by PyTorch's rules.
  static func broadcast(_ left: [Int], _ right: [Int], _ operation: StaticString) throws -> [Int] {
    let rank = max(left.count, right.count)
    return try (0..<rank).map { dimension in
      let a = dimension - (rank - left.count)
      let b = dimension - (rank - right.count)
      let first = a < 0 ? 1 : left[a]
      let second = b < 0 ? 1 : right[b]
      guard first == second || first == 1 || second == 1 else {
        throw TrainingError.badShape(
          operation: "\(operation)", problem: "the shapes \(left) and \(right) do not fit")
      }
      return first == 1 ? second : first
    }
  }

  /// `function` of each pair of elements, broadcast; no gradients.
  static func combine<F: BinaryFunction>(
    _: F.Type, _ left: Variable, _ right: Variable, _ operation: StaticString
  ) throws -> Variable {
    try left.requireFloats(operation)
    guard left.scalarType == right.scalarType else {
      throw TrainingError.badType(
        operation: "\(operation)",
        problem: "\(left.scalarType.rawValue) with \(right.scalarType.rawValue)")
    }
    let shape = try broadcast(left.shape, right.shape, operation)
    let result = try Variable(empty: shape, left.scalarType)
    func go<T: Scalar>(_: T.Type) {
      let a = left.pointer(T.self)
      let b = right.pointer(T.self)
      let to = result.pointer(T.self)
      let walk = StridedWalk(
        shape: shape,
        strides: [left.strides(broadcastTo: shape), right.strides(broadcastTo: shape)])
      walk.rows(grain: elementGrain) { position, starts, length, steps in
        let to = to + position
        let a = a + starts[0]
        let b = b + starts[1]
        switch (steps[0], steps[1]) {
        case (1, 1):
          if F.self == Add.self, let a = asFloats(UnsafePointer(a)),
            let b = asFloats(UnsafePointer(b)),
            let to = asFloats(to)
          {
            ct_add(a, b, to, Int64(length))
          } else {
            for i in 0..<length { to[i] = F.value(a[i], b[i]) }
          }
        case (1, 0):
          let second = b[0]
          for i in 0..<length { to[i] = F.value(a[i], second) }
        case (0, 1):
          let first = a[0]
          for i in 0..<length { to[i] = F.value(first, b[i]) }
        case let (first, second):
          for i in 0..<length { to[i] = F.value(a[i * first], b[i * second]) }
        }
      }
    }
    left.scalarType == .float64 ? go(Double.self) : go(Float.self)
    keepAlive(left, right)
    return result
  }

  /// The strides by which this variable is read as if it had `shape`.
  func strides(broadcastTo shape: [Int]) -> [Int] {
    let missing = shape.count - rank
    return shape.indices.map { dimension in
      let own = dimension - missing
      return own < 0 || self.shape[own] == 1 ? 0 : strides[own]
    }
  }

  /// Adds `other`, of the same shape, to this contiguous variable; no gradients.
  func addInPlace(_ other: Variable) throws {
    let other = try other.contiguous()
    func go<T: Scalar>(_: T.Type) {
      let to = pointer(T.self)
      let from = other.pointer(T.self)
      ComputeThreads.split(count, grain: elementGrain) { range in
        for i in range { to[i] += from[i] }
      }
    }
    scalarType == .float64 ? go(Double.self) : go(Float.self)
    keepAlive(other)
  }

  /// A single number of this variable's type, to be broadcast.
  private func constant(_ value: Double) throws -> Variable {
    try Variable.full([], value, scalarType)
  }
}

// MARK: - Arithmetic

extension Variable {
  /// The elementwise sum. Shapes are broadcast by PyTorch's rules.
  ///
  /// - Throws: `TrainingError` if shapes do not broadcast, or element types differ or are not
  ///   floating-point types.
  public static func + (left: Variable, right: Variable) throws -> Variable {
    let (first, second) = (left.shape, right.shape)
    return try combine(Add.self, left, right, "add").computed(by: "add", from: [left, right]) {
      [try $0.summed(to: first), try $0.summed(to: second)]
    }
  }

  /// The elementwise difference. Shapes are broadcast by PyTorch's rules.
  ///
  /// - Throws: `TrainingError` if shapes do not broadcast, or element types differ or are not
  ///   floating-point types.
  public static func - (left: Variable, right: Variable) throws -> Variable {
    let (first, second) = (left.shape, right.shape)
    let needsSecond = right.requiresGrad
    return try combine(Subtract.self, left, right, "subtract").computed(
      by: "subtract", from: [left, right]
    ) {
      [
        try $0.summed(to: first),
        needsSecond ? try $0.multiplied(by: -1).summed(to: second) : nil,
      ]
    }
  }

  /// The elementwise product. Shapes are broadcast by PyTorch's rules.
  ///
  /// - Throws: `TrainingError` if shapes do not broadcast, or element types differ or are not
  ///   floating-point types.
  public static func * (left: Variable, right: Variable) throws -> Variable {
    let (first, second) = (left.shape, right.shape)
    let a = right.requiresGrad ? left : nil
    let b = left.requiresGrad ? right : nil
    return try combine(Multiply.self, left, right, "multiply").computed(
      by: "multiply", from: [left, right]
    ) { gradient in
      [
        try b.map { try combine(Multiply.self, gradient, $0, "multiply").summed(to: first) },
        try a.map { try combine(Multiply.self, gradient, $0, "multiply").summed(to: second) },
      ]
    }
  }

  /// The elementwise quotient. Shapes are broadcast by PyTorch's rules.
  ///
  /// - Throws: `TrainingError` if shapes do not broadcast, or element types differ or are not
  ///   floating-point types.
  public static func / (left: Variable, right: Variable) throws -> Variable {
    let (first, second) = (left.shape, right.shape)
    let (needsFirst, needsSecond) = (left.requiresGrad, right.requiresGrad)
    let a = needsSecond ? left : nil
    return try combine(Divide.self, left, right, "divide").computed(
      by: "divide", from: [left, right]
    ) { gradient in
      let whole = try combine(Divide.self, gradient, right, "divide")
      return [
        needsFirst ? try whole.summed(to: first) : nil,
        try a.map {
          let ratio = try combine(Divide.self, $0, right, "divide")
          return try combine(Multiply.self, whole, ratio, "divide").multiplied(by: -1)
            .summed(to: second)
        },
      ]
    }
  }

  /// Each element with the opposite sign.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public static prefix func - (operand: Variable) throws -> Variable { try operand * -1 }

  /// Each element plus a number.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public static func + (left: Variable, right: Double) throws -> Variable {
    try left + left.constant(right)
  }

  /// Each element minus a number.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public static func - (left: Variable, right: Double) throws -> Variable {
    try left - left.constant(right)
  }

  /// A number minus each element.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public static func - (left: Double, right: Variable) throws -> Variable {
    try right.constant(left) - right
  }

  /// Each element times a number.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public static func * (left: Variable, right: Double) throws -> Variable {
    try left * left.constant(right)
  }

  /// A number times each element.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public static func * (left: Double, right: Variable) throws -> Variable { try right * left }
  /// Each element divided by a number.
  ///
  /// - Throws: `TrainingError.badType` unless the elements are floating-point numbers;
  ///   `TrainingError.outOfMemory`.
  public static func / (left: Variable, right: Double) throws -> Variable {
    try left / left.constant(right)
  }

  /// Each element times a number; no gradients.
  func multiplied(by factor: Double) throws -> Variable {
    try Self.combine(Multiply.self, self, constant(factor), "multiply")
  }
}
