internal import TrainingCore

/// Activations, which shapes do not determine.
public enum ModelActivation: String, Sendable, Hashable {
  case gelu
  /// GELU with the tanh approximation.
  case geluTanh = "gelu_tanh"
  case relu
  case silu

  /// The activation with the given name in transformers (`ACT2FN` in activations.py); nil for other
  /// names.
  init?(transformersName name: String) {
    switch name {
    case "gelu", "gelu_python": self = .gelu
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh": self = .geluTanh
    case "relu": self = .relu
    case "silu", "swish": self = .silu
    default: return nil
    }
  }

  func callAsFunction(_ input: Variable) throws -> Variable {
    switch self {
    case .gelu: try input.gelu()
    case .geluTanh: try input.gelu(.tanh)
    case .relu: try input.relu()
    case .silu: try input.silu()
    }
  }
}
