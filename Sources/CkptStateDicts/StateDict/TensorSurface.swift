internal import CkptTensors

/// What `load_state_dict` sees of a tensor before it copies anything.
struct TensorSurface {
  let className: String
  let shape: [Int]?
  let dtype: DType?

  /// Nil for what is no tensor.
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
