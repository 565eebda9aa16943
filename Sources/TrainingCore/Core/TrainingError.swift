public import Platform
public import StateDicts

/// What cannot be computed, and why.
public enum TrainingError: Diagnostic, Equatable {
  /// Shapes that an operation cannot take.
  case badShape(operation: String, problem: String)
  /// A number or option that makes no sense.
  case badArgument(operation: String, problem: String)
  /// An operation between elements of different types, or of a type that it does not know.
  case badType(operation: String, problem: String)
  /// More memory than the machine gives.
  case outOfMemory(byteCount: Int)
  /// The library of matrix products is not installed.
  case noBLAS
  /// `backward()` where there is nothing to go back through.
  case noGraph(String)
  /// A module that has no rule for a single input.
  case notCallable(module: String)
  /// A state dict that does not fit the module: everything that stands in the way.
  case cannotLoad(missing: [String], unexpected: [String], mismatched: [ShapeMismatch])
  /// A pattern that matches no parameter.
  case noSuchParameter(pattern: String)
  /// A saved state that does not fit the optimiser or scheduler.
  case badState(String)

  /// How scripts tell it apart.
  public var kind: DiagnosticKind {
    switch self {
    case .noBLAS: .cannotOpen
    case .badArgument, .noSuchParameter: .usage
    default: .badInput
    }
  }

  /// What is wrong and where, on one line.
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

  /// What to do about it.
  public var hint: String? {
    switch self {
    case .noBLAS: "install OpenBLAS (Debian: libopenblas0-pthread; brew: openblas)"
    case .outOfMemory: "use a smaller batch"
    case .cannotLoad: "load with strict: false to take what fits"
    default: nil
    }
  }
}
