internal import CkptStateDicts
internal import CkptTensors

/// A value that is taken from the first input although other inputs have different ones.
public struct KeptValue: Sendable, Hashable {
  /// Its key.
  public let key: String
  /// What it is, such as "int64 tensor".
  public let what: String
  /// The inputs that have another value.
  public let inputs: [String]
}

/// A head that a model does not have, since it ties it to its embedding.
public struct TiedHead: Sendable, Hashable {
  /// The head's key.
  public let key: String
  /// The model.
  public let input: String
  /// The key of the embedding that was merged in its place.
  public let embedding: String
}

extension MergeMethod {
  /// Whether the result is a sum of the inputs with real factors, so that it is also one of complex numbers.
  var isLinear: Bool {
    switch self {
    case .linear, .swa, .ema, .passthrough, .taskArithmetic: true
    default: false
    }
  }

  /// Whether a tensor is merged, and not taken from the first input.
  func merges(_ tensor: Tensor) -> Bool {
    !tensor.isMeta && tensor.quantization == nil && tensor.dtype.isFloat
      && (isLinear || !tensor.dtype.isComplex)
      && ElementConversion.isSupported(from: tensor.dtype, to: .float64)
  }
}

extension StateDict.Value {
  /// Whether it counts or numbers something (`num_batches_tracked`, position ids), so that there is nothing to merge.
  var isBuffer: Bool {
    guard let tensor, !tensor.isMeta, tensor.quantization == nil else { return false }
    return !tensor.dtype.isFloat
      && ElementConversion.isSupported(from: tensor.dtype, to: .float64)
  }

  /// What it is, in a few words.
  var kind: String {
    switch self {
    case .object(let object): object.summary
    case .tensor(let tensor):
      (tensor.isMeta ? "meta " : tensor.quantization == nil ? "" : "quantized ")
        + tensor.dtype.name + " tensor"
    }
  }

  /// Whether both hold the same, as far as it can be seen; tensors are read in blocks.
  ///
  /// What has no elements in memory has none that could be the same.
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
