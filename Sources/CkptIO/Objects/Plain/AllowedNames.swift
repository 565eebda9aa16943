internal import CkptTensors

/// The names that `torch.load(weights_only=True)` accepts (PyTorch 2.15,
/// `torch/_weights_only_unpickler.py`).
package enum AllowedNames {
  /// Whether the class or function `name`, such as `torch.Size`, is accepted.
  package static func contains(_ name: String) -> Bool {
    if all.contains(name) { return true }
    guard name.hasPrefix("torch.") else { return false }
    let last = String(name.dropFirst(6))
    return DType(name: last) != nil || StorageTable.dtypes[last] != nil
  }

  private static let all: Set<String> = Set(
    [
      "_codecs.encode", "builtins.bytearray", "builtins.complex", "builtins.set",
      "collections.Counter", "collections.OrderedDict", "torch.Size", "torch.Tensor",
      "torch.device",
      "torch._tensor._rebuild_from_type_v2", "torch.nn.parameter.Parameter",
      "torch.serialization._get_layout", "torch.storage.TypedStorage",
      "torch.storage.UntypedStorage", "torch.per_channel_affine",
      "torch.per_channel_affine_float_qparams", "torch.per_channel_symmetric",
      "torch.per_tensor_affine", "torch.per_tensor_symmetric",
    ]
      + [
        "device_tensor_from_cpu_tensor", "device_tensor_from_numpy", "meta_tensor_no_storage",
        "parameter", "parameter_with_state", "qtensor", "sparse_tensor", "tensor", "tensor_v2",
        "tensor_v3", "wrapper_subclass",
      ].map { "torch._utils._rebuild_" + $0 })
}
