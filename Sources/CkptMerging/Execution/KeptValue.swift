internal import CkptStateDicts
internal import CkptTensors

/// A value that is taken from the first input although other inputs have different ones.
public struct KeptValue: Sendable, Hashable {
  /// The value's key.
  public let key: String
  /// A short description of the value, such as "int64 tensor".
  public let what: String
  /// The names of the inputs that have a different value.
  public let inputs: [String]
}

/// An output head that a model's file lacks because the model ties it to its embedding.
public struct TiedHead: Sendable, Hashable {
  /// The head's key.
  public let key: String
  /// The name of the input that lacks the head.
  public let input: String
  /// The key of the embedding that was merged in its place.
  public let embedding: String
}

extension MergeMethod {
  /// Whether the result is a sum of the inputs with real factors. Such a method also works for
  /// complex numbers.
  var isLinear: Bool {
    switch self {
    case .linear, .swa, .ema, .passthrough, .taskArithmetic: true
    default: false
    }
  }

  /// Whether a tensor is merged; if not, the first input's is copied.
  func merges(_ tensor: Tensor) -> Bool {
    !tensor.isMeta && tensor.quantization == nil && tensor.dtype.isFloat
      && (isLinear || !tensor.dtype.isComplex)
      && ElementConversion.isSupported(from: tensor.dtype, to: .float64)
  }
}

extension StateDict.Value {
  /// Whether the value is a tensor of integers or booleans, such as `num_batches_tracked` or
  /// position ids, which is copied rather than merged.
  var isBuffer: Bool {
    guard let tensor, !tensor.isMeta, tensor.quantization == nil else { return false }
    return !tensor.dtype.isFloat
      && ElementConversion.isSupported(from: tensor.dtype, to: .float64)
  }

  /// A short description of the value, such as "quantized int8 tensor".
  var kind: String {
    switch self {
    case .object(let object): object.summary
    case .tensor(let tensor):
      (tensor.isMeta ? "meta " : tensor.quantization == nil ? "" : "quantized ")
        + tensor.dtype.name + " tensor"
    }
  }

  /// Whether two values are equal, as far as that can be compared; tensors are read in blocks.
  ///
  /// Meta tensors, which have no elements, are never equal. Objects are compared by their summary
  /// and their tensors.
  ///
  /// - Throws: what reading the tensors throws.
  func isSame(as other: StateDict.Value) throws -> Bool {
    switch (self, other) {
    case (.tensor(let own), .tensor(let tensor)):
      return try !own.isMeta && !tensor.isMeta && own.hasSameBytes(as: tensor)
    case (.object(let own), .object(let object)):
      guard own.summary == object.summary, own.tensors.count == object.tensors.count else {
        return false
      }
      return try zip(own.tensors, object.tensors).allSatisfy {
        try StateDict.Value.tensor($0).isSame(as: .tensor($1))
      }
    default: return false
    }
  }
}
