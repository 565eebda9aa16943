/// Names that `weights_only=True` rejects although they only create data, whatever their arguments.
enum DataNames {
  /// Whether a full name, such as `argparse.Namespace`, is one of them.
  static func contains(_ name: String) -> Bool { all.contains(name) }

  /// Whether a name of a module is one of them.
  static func contains(_ name: String, in module: String) -> Bool {
    if let names = byModule[module], names.contains(name) { return true }
    if torchTensors.contains(module) {
      return name.hasSuffix("Storage") || name.hasSuffix("Tensor")
    }
    // Layers: unpickling them sets attributes.
    if module.hasPrefix("torch.nn.modules."),
      name.unicodeScalars.first?.properties.isUppercase == true
    {
      return true
    }
    return false
  }

  private static let torchTensors: Set<String> = [
    "torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse",
  ]

  private static let all: Set<String> = [
    "argparse.Namespace", "types.SimpleNamespace", "fractions.Fraction", "decimal.Decimal",
    "uuid.UUID", "uuid.SafeUUID", "typing.Any",
    "copyreg._reconstructor", "copy_reg._reconstructor", "copyreg.__newobj__",
    "copyreg.__newobj_ex__", "copy_reg.__newobj__",
    "operator.itemgetter", "_operator.itemgetter",
    "torch._utils._rebuild_sparse_csr_tensor", "torch._utils._rebuild_nested_tensor",
    "torch._tensor._rebuild_from_type",
    "torch.nn.parameter.Buffer", "torch.nn.parameter.UninitializedParameter",
    "torch.nn.parameter.UninitializedBuffer", "torch.memory_format", "torch.Generator",
    "torch.strided", "torch.sparse_coo", "torch.sparse_csr",
    "numpy.ndarray", "numpy.dtype", "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct", "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer", "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__generator_ctor", "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._mt19937.MT19937", "numpy.random._pcg64.PCG64",
  ]

  private static let byModule: [String: Set<String>] = [
    "builtins": [
      "list", "dict", "tuple", "set", "frozenset", "int", "long", "float", "complex", "str",
      "unicode", "bytes", "bytearray", "bool", "slice", "range", "xrange", "object", "type",
      "NoneType", "Ellipsis", "NotImplemented",
    ],
    "collections": ["OrderedDict", "defaultdict", "deque", "Counter", "UserDict", "ChainMap"],
    "datetime": ["date", "datetime", "time", "timedelta", "timezone"],
    "pathlib": paths, "pathlib._local": paths,
    "zoneinfo": ["ZoneInfo"],
    "numpy": scalars,
    "numpy.dtypes": Set(
      [
        "Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "Float16",
        "Float32", "Float64", "Complex64", "Complex128", "Str", "Bytes",
      ].map { $0 + "DType" }),
    "torch.optim.lr_scheduler": [
      "StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "ConstantLR", "LinearLR",
    ],
    "torch.distributed.checkpoint.metadata": [
      "Metadata", "MetadataIndex", "TensorStorageMetadata", "BytesStorageMetadata",
      "ChunkStorageMetadata", "TensorProperties", "StorageMeta", "_MEM_FORMAT_ENCODING",
    ],
    "torch.distributed.checkpoint.filesystem": ["_StorageInfo", "_StoragePrefix"],
  ]

  private static let paths: Set<String> = [
    "Path", "PurePath", "PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath",
  ]
  private static let scalars: Set<String> = [
    "bool_", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "longdouble", "complex64", "complex128", "str_", "bytes_",
  ]
}
