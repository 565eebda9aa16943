internal import CkptTensors

/// The properties of a tensor that `load_state_dict` checks before it copies elements.
struct TensorSurface {
  let className: String
  let shape: [Int]?
  let dtype: DType?

  /// Creates the properties of a value; nil for values other than tensors.
  init?(_ value: StateDict.Value) {
    switch value {
    case .tensor(let tensor):
      className = "torch.Tensor"
      shape = tensor.shape
      dtype = tensor.dtype
    case .object(let object):
      guard let tensor = object.tensorLike else { return nil }
      className = tensor.className
      shape = tensor.shape
      dtype = tensor.dtype
    }
  }
}
