internal import TrainingCore

/// Activations by which models differ whose shapes are the same.
public enum ModelActivation: String, Sendable, Hashable {
  case gelu
  /// Gaussian error units by the hyperbolic tangent.
  case geluTanh = "gelu_tanh"
  case relu
  case silu

  /// What transformers calls it (`ACT2FN` of activations.py); nil for others.
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
