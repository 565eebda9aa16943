/// Names that act: they start processes, evaluate code, import, load other pickles, change or read
/// files, access the network, or give access to something that does.
enum ActingNames {
  /// Whether a name is one of them: every name in a module that is known to act, and in its
  /// submodules; single names of other modules; and whatever reaches one by its attributes.
  static func contains(_ module: String, _ name: String) -> Bool {
    if names.contains(module + "." + name) || containsModule(module) { return true }
    if module.hasPrefix("pandas"), name.hasPrefix("read_") || name.hasSuffix(".eval") {
      return true
    }
    // Such as `torch.serialization` with `os.system`, or a module that imported `system` by name.
    let path = name.split(separator: ".").map(String.init)
    var owner: String?
    for part in path {
      if isAccess(part, of: owner) || (owner != nil && methods.contains(part)) { return true }
      owner = part
    }
    return false
  }

  /// Whether a module is known to act, or is in one that is.
  static func containsModule(_ module: String) -> Bool {
    var prefix = ""
    for part in module.split(separator: ".") {
      prefix += (prefix.isEmpty ? "" : ".") + part
      if modules.contains(prefix) { return true }
    }
    return false
  }

  /// The first parts of the names of all modules that act, or have names that act.
  static var packages: Set<String> {
    Set((Array(modules) + names).map { String($0.prefix { $0 != "." }) })
  }

  /// Whether the attribute of an instance, such as `Path.write_text`, is one of them.
  static func containsMethod(_ name: String) -> Bool {
    let path = name.split(separator: ".").map(String.init)
    guard let last = path.last else { return false }
    return methods.contains(last) || isAccess(last, of: path.dropLast().last ?? "Class")
  }

  /// Whether a component of a name gives access to code in any module. A method of a class may have
  /// the name of a function that acts (`Module.eval`).
  private static func isAccess(_ part: String, of owner: String?) -> Bool {
    guard parts.contains(part) else { return false }
    guard let first = owner?.unicodeScalars.first(where: { $0 != "_" }) else { return true }
    return part.hasPrefix("__") || !first.properties.isUppercase
  }

  /// Classes in modules that act, which only hold data when they are unpickled, or whose instances
  /// are written by PyTorch and common packages.
  static let exceptions: Set<String> = [
    "inspect.Parameter", "inspect.Signature", "inspect._ParameterKind", "inspect._empty",
    "types.GenericAlias", "types.UnionType", "platform.uname_result",
    "joblib.numpy_pickle.NumpyArrayWrapper", "joblib.numpy_pickle.NDArrayWrapper",
    "torch._dynamo.eval_frame.OptimizedModule", "torch._dynamo.eval_frame.OptimizeContext",
    "torch._dynamo.convert_frame.CatchErrorsWrapper", "torch._dynamo.convert_frame.ConvertFrame",
    "torch._dynamo.convert_frame.ConvertFrameAssert", "torch._dynamo.convert_frame.ConvertFrameBox",
    "torch._dynamo.repro.after_dynamo.WrapBackendDebug", "torch._dynamo.hooks.Hooks",
    "torch._ops.OpOverload",
    "http.HTTPStatus", "urllib.parse.ParseResult", "urllib.parse.SplitResult",
    "pandas.io.formats.style.Styler",
  ]

  /// Modules of Python and common packages all of whose names act.
  private static let modules: Set<String> = [
    // Processes and the system.
    "os", "posix", "nt", "posixpath", "ntpath", "genericpath", "subprocess", "_posixsubprocess",
    "sys", "pty", "commands", "popen2", "pipes", "multiprocessing", "_multiprocessing",
    "concurrent", "asyncio", "signal", "fcntl", "msvcrt", "winreg", "_winreg", "_winapi",
    "shutil", "tempfile", "fileinput", "mmap", "platform", "webbrowser", "antigravity",
    "threading", "_thread", "thread", "_threading_local", "atexit", "gc", "tkinter", "idlelib",
    "turtle", "turtledemo", "_interpreters", "_xxsubinterpreters", "interpreters", "_osx_support",
    "_aix_support", "_pyrepl", "readline", "resource", "syslog", "curses", "faulthandler",
    "tracemalloc", "_posixshmem", "sched", "cmd", "pipx", "sh", "plumbum", "invoke", "psutil",
    // Evaluating and importing.
    "code", "codeop", "compileall", "py_compile", "runpy", "importlib", "_frozen_importlib",
    "_frozen_importlib_external", "_imp", "imp", "pkgutil", "zipimport", "zipapp", "modulefinder",
    "site", "sysconfig", "distutils", "setuptools", "_distutils_hack", "pip", "ensurepip", "venv",
    "pkg_resources", "inspect", "types", "bdb", "pdb", "cProfile", "profile", "_lsprof", "pstats",
    "trace", "timeit", "doctest", "unittest", "pydoc", "pydoc_data", "lib2to3", "test",
    "rlcompleter", "pyclbr", "symtable", "tabnanny", "this", "annotationlib", "IPython",
    "ipykernel", "pytest", "_pytest", "nose", "py", "mypy", "numexpr", "sympy.parsing",
    "sympy.utilities.lambdify", "sympy.core.sympify", "sympy.plotting", "jinja2", "mako",
    // Other pickles, other memory.
    "pickle", "_pickle", "cPickle", "shelve", "dbm", "_dbm", "_gdbm", "marshal", "dill",
    "cloudpickle", "joblib", "jsonpickle", "pickletools", "yaml", "ruamel", "ctypes", "_ctypes",
    "cffi", "_cffi_backend", "logging.config", "logging.handlers", "sqlite3", "_sqlite3",

    // The network.
    "socket", "_socket", "ssl", "_ssl", "socketserver", "http", "httplib", "urllib", "urllib2",
    "urllib3", "requests", "httpx", "aiohttp", "ftplib", "smtplib", "smtpd", "poplib", "imaplib",
    "nntplib", "telnetlib", "xmlrpc", "wsgiref", "cgi", "cgitb", "asyncore", "asynchat",
    "paramiko", "fabric", "pexpect", "ptyprocess", "boto3", "botocore", "fsspec", "s3fs", "gcsfs",
    "huggingface_hub", "git", "gdown", "wget", "pycurl", "select", "selectors",
    // Frameworks' own ways to do one of these.
    "torch.hub", "torch.utils.cpp_extension", "torch.utils.bottleneck", "torch.utils.collect_env",
    "torch.utils.model_zoo", "torch.utils.benchmark", "torch.utils.hipify",
    "torch.utils.tensorboard", "torch.utils.show_pickle", "torch.utils._config_module",
    "torch.utils.data.datapipes", "torch.utils.model_dump", "torch.utils.viz", "torch._inductor",
    "torch._dynamo", "torch._functorch", "torch._export", "torch.export", "torch._ops",
    "torch.ops", "torch._classes", "torch.classes", "torch.library", "torch._library",
    "torch.distributed.run", "torch.distributed.launch", "torch.distributed.launcher",
    "torch.distributed.elastic", "torch.distributed.rpc", "torch.distributed.nn.jit",
    "torch.distributed.argparse_util", "torch.multiprocessing", "torch.package", "torch.testing",
    "torch.onnx", "torch.fx.experimental", "torch.fx.interpreter", "torch.fx.passes",
    "torch.jit.unsupported_tensor_ops", "torch.jit.frontend", "torch.jit.mobile",
    "torch.jit._script", "torch.jit._trace", "torch.jit._serialization", "torch.jit._recursive",
    "torch._sources", "torch._appdirs", "torch._vendor", "torch._custom_op", "torch._custom_ops",
    "torch.cuda._memory_viz", "torch.backends._nnapi", "torch.contrib", "torch.profiler",
    "torch._strobelight", "numpy.testing", "numpy.f2py", "numpy.distutils", "numpy.ctypeslib",
    "numpy._pyinstaller", "numpy.lib.npyio", "numpy.lib._npyio_impl", "numpy.lib.format",
    "numpy.lib._format_impl", "numpy.lib._datasource", "pandas.io", "pandas.core.computation",
    "scipy.io", "scipy.weave", "matplotlib.sphinxext", "matplotlib.testing",
  ]

  /// Names that act in modules that also have harmless ones.
  private static let names: Set<String> = Set(
    [
      "eval", "exec", "execfile", "compile", "open", "file", "input", "raw_input", "__import__",
      "__build_class__", "getattr", "setattr", "delattr", "globals", "locals", "vars", "apply",
      "reload", "breakpoint", "help", "map", "filter", "reduce", "iter", "exit", "quit",
    ].map { "builtins." + $0 }
      + [
        "io.open", "io.open_code", "io.FileIO", "io.OpenWrapper", "_io.open", "_io.open_code",
        "_io.FileIO", "_io.OpenWrapper", "_pyio.open", "_pyio.open_code", "_pyio.FileIO",
        "codecs.open", "codecs.lookup_error", "codecs.register", "gzip.open", "gzip.GzipFile",
        "bz2.open", "bz2.BZ2File", "lzma.open", "lzma.LZMAFile", "zipfile.ZipFile",
        "zipfile.PyZipFile", "zipfile.main", "zipfile.Path", "tarfile.open", "tarfile.TarFile",
        "tarfile.main", "linecache.getline", "linecache.getlines", "linecache.updatecache",
        "linecache.lazycache", "logging.FileHandler", "logging.basicConfig",
        "operator.attrgetter", "operator.methodcaller", "operator.call", "_operator.attrgetter",
        "_operator.methodcaller", "_operator.call", "functools.reduce", "_functools.reduce",
        "itertools.starmap", "itertools.accumulate", "itertools.takewhile", "itertools.dropwhile",
        "itertools.filterfalse", "itertools.groupby", "copyreg.add_extension", "copyreg.pickle",
        "copyreg.constructor", "copy_reg.add_extension", "copy_reg.pickle",
        "copy_reg.constructor", "copy._reconstruct", "typing._eval_type", "typing.get_type_hints",
        "typing.evaluate_forward_ref", "typing.ForwardRef._evaluate", "typing._type_check",
        "dataclasses.make_dataclass", "dataclasses._create_fn", "dataclasses._process_class",
        "collections.namedtuple", "gettext.c2py", "gettext.find", "gettext.translation",
        "weakref.finalize", "contextlib.ExitStack", "contextlib.contextmanager",
        "abc.update_abstractmethods", "ast.parse", "uuid._get_command_stdout", "uuid._popen",
        "uuid._find_mac", "uuid._find_mac_near_keyword", "uuid._find_mac_under_heading",
        "uuid._ifconfig_getter", "uuid._ip_getter", "uuid._arp_getter", "uuid._lanscan_getter",
        "uuid._netstat_getter", "uuid._ipconfig_getter", "uuid.getnode", "uuid.main",
        "sympy.sympify", "sympy.S", "sympy.lambdify", "sympy.parse_expr", "torch.load",
        "torch.save", "torch.serialization.load", "torch.serialization.save",
        "torch.serialization._load", "torch.serialization._legacy_load",
        "torch.serialization.add_safe_globals", "torch.serialization._add_safe_globals",
        "torch.serialization.clear_safe_globals", "torch.serialization.register_package",
        "torch.serialization._open_file_like", "torch.serialization._open_file",
        "torch.serialization._open_zipfile_reader", "torch.serialization._open_zipfile_writer",
        "torch.jit.load", "torch.jit.save", "torch.jit.script", "torch.jit.trace",
        "torch.jit.CompilationUnit", "torch._C.CompilationUnit", "torch._C.import_ir_module",
        "torch._C._import_ir_module_from_package", "torch._C.import_ir_module_from_buffer",
        "torch._C.PyTorchFileReader", "torch._C.PyTorchFileWriter",
        "torch._C._load_for_lite_interpreter", "torch._C._jit_script_compile",
        "torch._C._load_mobile_module_from_file",
        "torch._weights_only_unpickler._add_safe_globals", "torch._weights_only_unpickler.load",
        "torch._weights_only_unpickler.Unpickler", "torch.from_file",
        "torch.storage._load_from_bytes", "torch.compile", "torch.set_default_tensor_type",
        "torch._utils._import_dotted_name", "torch._utils_internal.resolve_library_path",
        "torch._tensor_str._str", "torch.fx.graph_module._exec_with_source",
        "torch.fx.graph_module._forward_from_src", "torch.fx.graph_module._method_from_src",
        "torch.fx.graph_module.reduce_graph_module",
        "torch.fx.graph_module.reduce_package_graph_module",
        "torch.fx.graph_module.reduce_deploy_graph_module",
        "torch.fx.graph_module._deserialize_graph_module",
        "torch.fx._lazy_graph_module._make_graph_module",
        "torch.fx._lazy_graph_module.reduce_lazy_graph_module", "torch.fx.GraphModule",
        "torch.fx.graph_module.GraphModule", "numpy.load", "numpy.save", "numpy.savez",
        "numpy.savez_compressed", "numpy.savetxt", "numpy.memmap", "numpy.fromfile",
        "numpy.core.memmap", "numpy.core.memmap.memmap", "numpy._core.memmap.memmap",
        "numpy.core.multiarray.fromfile", "numpy._core.multiarray.fromfile", "numpy.loadtxt",
        "numpy.genfromtxt", "numpy.DataSource", "numpy.fromregex", "numpy.vectorize",
        "numpy.frompyfunc", "numpy.apply_along_axis", "numpy.fromfunction", "numpy.piecewise",
        "numpy.lib.utils.safe_eval", "numpy.lib.utils.source",
        "numpy.lib.function_base.vectorize", "numpy.core._internal._ctypes",
        "keras.models.load_model", "keras.saving.load_model",
        "keras.src.saving.saving_api.load_model",
        "tensorflow.keras.models.load_model", "tensorflow.saved_model.load",
        "tensorflow.load_op_library", "tensorflow.load_library", "tensorflow.py_function",
        "tensorflow.numpy_function", "h5py.File", "pandas.eval",
        "pandas.DataFrame.eval", "pandas.DataFrame.query",
      ])

  /// Components of a name that give access to code in any module.
  private static let parts: Set<String> = [
    "os", "sys", "posix", "nt", "subprocess", "builtins", "__builtin__", "importlib", "shutil",
    "socket", "pickle", "_pickle", "ctypes", "runpy", "pty", "marshal", "tempfile", "inspect",
    "multiprocessing", "threading", "pkgutil", "eval", "exec", "system", "popen", "Popen",
    "__import__", "import_module", "__globals__", "__builtins__", "__subclasses__", "__code__",
    "__closure__", "__getattribute__", "__getattr__", "__setattr__", "__delattr__", "__loader__",
    "__spec__", "__class__", "__base__", "__bases__", "__mro__", "mro", "__dict__", "__func__",
    "__wrapped__", "__init_subclass__", "__reduce__", "__reduce_ex__", "__defaults__",
    "__kwdefaults__", "__get__", "__set__", "gi_frame", "cr_frame", "f_globals", "f_locals",
    "f_back", "tb_frame", "func_globals", "func_code", "im_func",
  ]

  /// Attributes of classes and instances that read or write files, or load code.
  private static let methods: Set<String> = [
    "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "touch", "chmod", "lchmod",
    "symlink_to", "hardlink_to", "link_to", "rename", "replace_with", "open", "from_file",
    "fromfile", "_from_file", "tofile", "dump", "_new_shared_filename_cpu", "_new_with_file",
    "_write_file", "_set_from_file", "write_record", "load_module", "exec_module", "load_library",
    "_load_library", "to_pickle", "from_url", "load_url", "download", "run_code", "run_module",
    "execWrapper",
  ]
}
