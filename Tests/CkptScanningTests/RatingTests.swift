import CkptBytes
import CkptScanning
import Testing

@Suite("The ratings of names")
struct RatingTests {
  private func rating(_ module: String, _ name: String) throws -> GlobalRating {
    try PickleEffects(of: .bytes(Array("\u{28}c\(module)\n\(name)\n1N.".utf8))).verdict
  }

  /// Names that were used against scanners, or that a scanner did not know.
  private static let actingNames = """
    os system, posix system, nt system, subprocess Popen, builtins eval, builtins exec, __builtin__ apply,
    asyncio.unix_events _UnixSubprocessTransport._start, pip main, pkgutil resolve_name, uuid _get_command_stdout,
    _osx_support _read_output, _aix_support _read_cmd_output, imaplib IMAP4_stream, _pyrepl.pager pipe_pager,
    test.support.script_helper assert_python_ok, distutils.file_util write_file, _operator methodcaller,
    operator attrgetter, pydoc locate, pydoc pipepager, pty spawn, numpy.f2py.crackfortran getlincoef,
    cloudpickle.cloudpickle _make_function, types CodeType, logging FileHandler, _io FileIO, ctypes CDLL,
    trace Trace.run, profile Profile.run, cProfile run, doctest debug_script, ensurepip _run_pip,
    code InteractiveInterpreter, idlelib.pyshell ModifiedInterpreter.runcommand, lib2to3.pgen2.grammar Grammar.loads,
    timeit timeit, bdb Bdb.run, _interpreters run_string, pipes Template, torch.utils.bottleneck.__main__ run_cprofile,
    torch._dynamo.guards GuardBuilder.get, torch.utils.collect_env run, torch.jit.unsupported_tensor_ops execWrapper,
    torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression,
    torch.utils._config_module ConfigModule.load_config, torch.utils.data.datapipes.utils.decoder basichandlers,
    torch._inductor.codecache compile_file, torch.hub load, torch.distributed.rpc rpc_sync,
    torch.fx.graph_module _exec_with_source, torch._utils _import_dotted_name, sympy sympify, typing _eval_type,
    pathlib Path.write_text, sqlite3.dbapi2 connect, itertools starmap, torch UntypedStorage.from_file,
    commands getoutput, itertools imap, builtins map, torch load, torch.serialization os.system, os.path os,
    runpy run_path, webbrowser open, importlib import_module, marshal loads, pickle loads, dill loads, joblib load,
    numpy load, numpy.testing._private.utils runstring, shutil rmtree, socket create_connection, builtins getattr
    """

  private static func parsed(_ list: String) -> [String] {
    list.split(separator: ",").map { $0.split { $0.isWhitespace }.joined(separator: " ") }
  }

  @Test("Names that act are dangerous", arguments: parsed(actingNames))
  func acting(name: String) throws {
    let parts = name.split(separator: " ").map(String.init)
    #expect(try rating(parts[0], parts[1]) == .dangerous)
    // So is whatever stands in a module below one that acts.
    if parts[0].contains(".") == false,
      ["os", "subprocess", "asyncio", "pip", "ctypes"].contains(parts[0])
    {
      #expect(try rating(parts[0] + ".deeper", "anything") == .dangerous)
    }
  }

  @Test(
    "Names that only hold data are safe",
    arguments: parsed(
      """
      collections OrderedDict, torch FloatStorage, torch._utils _rebuild_tensor_v2, torch Size, torch device,
      argparse Namespace, pathlib PosixPath, numpy float64, builtins set, datetime datetime, torch.nn.modules.conv Conv2d,
      torch.distributed.checkpoint.metadata Metadata, _codecs encode, __builtin__ set, copy_reg _reconstructor
      """))
  func data(name: String) throws {
    let parts = name.split(separator: " ").map(String.init)
    #expect(try rating(parts[0], parts[1]) == .safe)
  }

  @Test(
    "Other names are unknown",
    arguments: parsed(
      """
      my_project.config Config, osmodule system_config, subprocesses Popen2, my.model Net.eval, torch.nn functional.relu,
      inspect Signature, functools partial, torch.nn.modules.module register_module_forward_hook, positional encoding
      """))
  func others(name: String) throws {
    let parts = name.split(separator: " ").map(String.init)
    #expect(try rating(parts[0], parts[1]) == .unknown)
  }
}
