public import CkptStateDicts

/// Something that is trained over many steps and whose progress can be saved and continued:
/// PyTorch's `Stateful` (`torch.distributed.checkpoint.stateful`). Optimizers and learning rate
/// schedulers conform.
public protocol Stateful {
  /// The state as PyTorch's `state_dict()` gives it. Tensors in it share memory with the object.
  ///
  /// - Throws: `TensorError` if a tensor of the state cannot be described.
  func stateDict() throws -> PlainValue
  /// Continues from a state returned by ``stateDict()`` or PyTorch's `state_dict()`: PyTorch's
  /// `load_state_dict`.
  ///
  /// - Throws: `TrainingError.badState` if the state belongs to another kind of object or to other
  ///   parameters, before anything is changed; what reading tensors throws.
  func load(_ state: PlainValue) throws
}
