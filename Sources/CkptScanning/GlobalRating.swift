internal import CkptIO

/// The risk of a class or function that a pickle names.
public enum GlobalRating: String, Sendable, Comparable, CaseIterable {
  /// It only creates data.
  case safe
  /// It is unknown; loading the file with pickle runs its code.
  case unknown
  /// It runs code or commands, accesses the network, or gives access to something that does.
  case dangerous

  /// `safe` is less than `unknown`, which is less than `dangerous`.
  public static func < (left: GlobalRating, right: GlobalRating) -> Bool {
    rank(left) < rank(right)
  }

  private static func rank(_ rating: GlobalRating) -> Int {
    switch rating {
    case .safe: 0
    case .unknown: 1
    case .dangerous: 2
    }
  }

  /// Rates a name as a pickle gives it.
  ///
  /// - Parameters:
  ///   - name: the name, which may have dots from protocol 4 on: `attribute.of.attribute`, each
  ///     looked up in the previous one, so that a harmless module can give access to anything it
  ///     imports.
  ///   - isTorchScript: whether the pickle is in a TorchScript archive, which is read by C++ code
  ///     without Python.
  static func of(module: String, name: String, isTorchScript: Bool = false) -> GlobalRating {
    let module = module == "__builtin__" ? "builtins" : module
    let full = module + "." + name
    if AllowedNames.contains(full) || harmless.contains(full) { return .safe }
    if isDangerous(module, name.split(separator: ".").map(String.init)) { return .dangerous }
    if name.contains(".") { return .unknown }
    if let names = harmlessByModule[module], names.contains(name) { return .safe }
    if torchTensorModules.contains(module), name.hasSuffix("Storage") || name.hasSuffix("Tensor") {
      return .safe
    }
    if isTorchScript, module.hasPrefix("__torch__") || module == "torch.jit._pickle" {
      return .safe
    }
    return .unknown
  }

  // MARK: - What is dangerous

  private static func isDangerous(_ module: String, _ path: [String]) -> Bool {
    if dangerousNames.contains(module + "." + path.joined(separator: ".")) { return true }
    var prefix = ""
    for part in module.split(separator: ".") {
      prefix += (prefix.isEmpty ? "" : ".") + part
      if dangerousModules.contains(prefix) { return true }
    }
    // Such as `torch.serialization` with `os.system`, or a module that imported `system` by name.
    return path.contains { dangerousParts.contains($0) }
  }

  /// Modules of Python and common packages all of whose names are dangerous: they start processes,
  /// evaluate code, import, load other pickles, or access the network.
  private static let dangerousModules: Set<String> = [
    // Processes and the system.
    "os", "posix", "nt", "posixpath", "ntpath", "subprocess", "_posixsubprocess", "sys", "pty",
    "commands", "popen2", "multiprocessing", "_multiprocessing", "concurrent", "asyncio", "signal",
    "fcntl", "msvcrt", "winreg", "_winreg", "_winapi", "shutil", "tempfile", "fileinput", "mmap",
    "platform", "webbrowser", "antigravity", "threading", "_thread", "thread", "atexit", "gc",
    "tkinter", "idlelib",
    // Evaluating and importing.
    "code", "codeop", "compileall", "py_compile", "runpy", "importlib", "imp", "pkgutil",
    "zipimport", "zipapp", "modulefinder", "site", "sysconfig", "distutils", "setuptools", "pip",
    "ensurepip", "venv", "pkg_resources", "inspect", "types", "bdb", "pdb", "cProfile", "profile",
    "pstats", "trace", "timeit", "doctest", "unittest", "pydoc", "lib2to3", "test", "rlcompleter",
    "IPython", "pytest", "_pytest",
    // Other pickles, other memory.
    "pickle", "_pickle", "cPickle", "shelve", "dbm", "marshal", "dill", "cloudpickle", "joblib",
    "jsonpickle", "yaml", "ctypes", "_ctypes", "cffi", "logging.config", "logging.handlers",
    // The network.
    "socket", "_socket", "ssl", "_ssl", "socketserver", "http", "httplib", "urllib", "urllib2",
    "urllib3", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "poplib", "imaplib", "nntplib",
    "telnetlib", "xmlrpc", "wsgiref", "cgi", "paramiko", "fabric", "pexpect", "ptyprocess",
    "boto3", "botocore", "huggingface_hub",
    // Frames' own ways to do one of these.
    "torch.hub", "torch.utils.cpp_extension", "torch.utils.bottleneck", "torch.utils.collect_env",
    "torch.utils.model_zoo", "torch._inductor", "torch._dynamo", "torch.distributed.run",
    "torch.distributed.launch", "torch.distributed.elastic", "torch.distributed.rpc",
    "torch.multiprocessing", "torch.package", "torch.testing", "torch.fx.experimental",
    "torch.utils._config_module", "numpy.testing", "numpy.f2py", "numpy.distutils",
  ]

  /// Dangerous names in modules that also have harmless ones.
  private static let dangerousNames: Set<String> = Set(
    [
      "eval", "exec", "execfile", "compile", "open", "file", "input", "raw_input", "__import__",
      "getattr", "setattr", "delattr", "globals", "locals", "vars", "apply", "reload",
      "breakpoint", "help",
    ].map { "builtins." + $0 }
      + [
        "io.open", "io.open_code", "io.FileIO", "_io.open", "_io.open_code", "_io.FileIO",
        "codecs.open", "gzip.open", "bz2.open", "lzma.open", "zipfile.ZipFile", "tarfile.open",
        "linecache.getline", "linecache.getlines", "logging.FileHandler", "operator.attrgetter",
        "operator.methodcaller", "operator.itemgetter", "_operator.attrgetter",
        "_operator.methodcaller", "_operator.itemgetter", "copyreg.add_extension",
        "copyreg.pickle", "copy_reg.add_extension", "copy_reg.pickle", "sqlite3.connect",
        "_sqlite3.connect", "weakref.finalize", "uuid._get_command_stdout",
        "torch.load", "torch.save", "torch.serialization.load", "torch.serialization.save",
        "torch.jit.load", "torch.jit._serialization.load", "torch.jit.CompilationUnit",
        "torch._C.CompilationUnit", "torch.ops.load_library", "torch.classes.load_library",
        "torch._ops._Ops.load_library", "torch.from_file", "torch.storage._load_from_bytes",
        "numpy.load", "numpy.save", "numpy.memmap", "numpy.fromfile", "numpy.core.memmap",
        "numpy.lib.npyio.load", "numpy.lib._npyio_impl.load", "numpy.loadtxt", "numpy.genfromtxt",
        "pandas.read_pickle", "pandas.io.pickle.read_pickle", "pandas.eval",
        "pandas.core.computation.eval.eval",
      ])

  /// Components of a name that give access to code in any module.
  private static let dangerousParts: Set<String> = [
    "os", "sys", "posix", "nt", "subprocess", "builtins", "__builtin__", "importlib", "shutil",
    "socket", "pickle", "ctypes", "runpy", "pty", "eval", "exec", "system", "popen", "Popen",
    "__import__", "import_module", "__globals__", "__builtins__", "__subclasses__", "__code__",
    "__closure__", "__getattribute__", "__loader__", "__spec__", "__class__", "__base__",
    "__bases__", "__mro__", "__dict__",
  ]

  // MARK: - What is safe

  private static let torchTensorModules: Set<String> = [
    "torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse",
  ]

  /// Names that `weights_only=True` rejects although they only create data.
  private static let harmless: Set<String> = [
    "argparse.Namespace", "types.SimpleNamespace", "fractions.Fraction", "decimal.Decimal",
    "uuid.UUID", "uuid.SafeUUID",
    "copyreg._reconstructor", "copy_reg._reconstructor",
    "torch._utils._rebuild_sparse_csr_tensor", "torch._utils._rebuild_nested_tensor",
    "torch._tensor._rebuild_from_type",
    "torch.nn.parameter.Buffer", "torch.nn.parameter.UninitializedParameter",
    "torch.nn.parameter.UninitializedBuffer", "torch.memory_format", "torch.Generator",
    "torch.strided", "torch.sparse_coo", "torch.sparse_csr",
    "numpy.ndarray", "numpy.dtype", "numpy.core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct", "numpy.core.numeric._frombuffer",
    "numpy._core.numeric._frombuffer", "numpy.random._pickle.__randomstate_ctor",
  ]

  private static let harmlessByModule: [String: Set<String>] = [
    "builtins": [
      "list", "dict", "tuple", "set", "frozenset", "int", "long", "float", "complex", "str",
      "unicode", "bytes", "bytearray", "bool", "slice", "range", "xrange", "object", "type",
      "NoneType", "Ellipsis", "NotImplemented",
    ],
    "collections": ["OrderedDict", "defaultdict", "deque", "Counter", "UserDict", "ChainMap"],
    "datetime": ["date", "datetime", "time", "timedelta", "timezone"],
    "pathlib": [
      "Path", "PurePath", "PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath",
    ],
    "pathlib._local": [
      "Path", "PurePath", "PurePosixPath", "PureWindowsPath", "PosixPath", "WindowsPath",
    ],
    "zoneinfo": ["ZoneInfo"],
    "numpy": [
      "bool_", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
      "float16", "float32", "float64", "longdouble", "complex64", "complex128", "str_", "bytes_",
    ],
    "torch.optim.lr_scheduler": [
      "StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "ConstantLR", "LinearLR",
    ],
  ]
}
