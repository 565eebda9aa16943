public import CkptPlatform
public import CkptStateDicts

/// An error of an operation, a module or an optimizer.
public enum TrainingError: Diagnostic, Equatable {
  /// The shapes of the operands do not fit the operation.
  case badShape(operation: String, problem: String)
  /// An argument is out of range.
  case badArgument(operation: String, problem: String)
  /// The element types differ, or the operation is not defined for them.
  case badType(operation: String, problem: String)
  /// The system has no memory of that size, in bytes.
  case outOfMemory(byteCount: Int)
  /// The library for matrix products (OpenBLAS or Accelerate) cannot be loaded.
  case noBLAS
  /// `backward()` was called without recorded operations or without a gradient.
  case noGraph(String)
  /// The module has no forward pass for a single input.
  case notCallable(module: String)
  /// The state dict does not fit the module: the missing and unexpected keys, and the shapes that
  /// differ.
  case cannotLoad(missing: [String], unexpected: [String], mismatched: [ShapeMismatch])
  /// The pattern matches no parameter.
  case noSuchParameter(pattern: String)
  /// The state does not fit the optimizer or scheduler.
  case badState(String)

  /// The kind of error, by which programs tell errors apart.
  public var kind: DiagnosticKind {
    switch self {
    case .noBLAS: .cannotOpen
    case .badArgument, .noSuchParameter: .usage
    default: .badInput
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    if case .cannotLoad(let missing, let unexpected, let mismatched) = self {
      ErrorContext(keys: missing + unexpected + mismatched.map(\.key))
    } else {
      ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .badShape(let operation, let problem): "\(operation): \(problem)"
    case .badArgument(let operation, let problem): "\(operation): \(problem)"
    case .badType(let operation, let problem): "\(operation): \(problem)"
    case .outOfMemory(let count): "no memory for \(count) bytes"
    case .noBLAS: "the library for matrix products (OpenBLAS) cannot be loaded"
    case .noGraph(let problem): "backward: \(problem)"
    case .notCallable(let module): "\(module) has no forward pass that takes one input"
    case .cannotLoad(let missing, let unexpected, let mismatched):
      "the state dict does not fit the model: "
        + [
          ("missing", missing), ("unexpected", unexpected),
          ("other", mismatched.map(\.description)),
        ]
        .filter { !$1.isEmpty }.map { "\($0) \(Self.list($1))" }.joined(separator: "; ")
    case .noSuchParameter(let pattern): "no parameter matches \(pattern)"
    case .badState(let problem): "the saved state does not fit: \(problem)"
    }
  }

  private static func list(_ keys: [String]) -> String {
    keys.prefix(5).joined(separator: ", ") + (keys.count > 5 ? ", … (\(keys.count))" : "")
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .noBLAS: ["install OpenBLAS (Debian: libopenblas0-pthread; brew: openblas)"]
    case .outOfMemory: ["use a smaller batch"]
    case .cannotLoad: ["load with strict: false to take what fits"]
    default: []
    }
  }
}
