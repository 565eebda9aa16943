import CkptBytes
import CkptPickle
import CkptScanning
import CkptTestSupport
import Testing

@Suite("What a pickle does")
struct PickleEffectsTests {
  private typealias O = Opcodes

  private func effects(_ opcodes: Opcodes) throws -> PickleEffects {
    try PickleEffects(of: .bytes(opcodes.bytes))
  }

  private func names(_ effects: PickleEffects) -> Set<String> {
    Set(effects.findings.map { $0.module + "." + $0.name })
  }

  // MARK: - Nothing gets past it

  /// Each opcode with the opcodes that it needs before it and its argument behind it, and what it
  /// leaves on the stack.
  private static let opcodes: [(String, Opcodes)] = {
    let number4: Opcodes = "\u{1}\0\0\0"
    let number8: Opcodes = "\u{1}\0\0\0\0\0\0\0"
    let name = O.name("m", "n")
    return [
      ("MARK", "("), ("POP", "N0N"), ("POP_MARK", "(1N"), ("DUP", "N2"), ("FLOAT", "F1.5\n"),
      ("INT", "I5\n"), ("BININT", ["J", number4]), ("BININT1", "K\u{1}"), ("LONG", "L5L\n"),
      ("BININT2", "M\u{1}\0"), ("NONE", "N"), ("PERSID", "Pid\n"), ("BINPERSID", "K\u{1}Q"),
      ("REDUCE", [name, ")R"]), ("STRING", "S'x'\n"), ("BINSTRING", ["T", number4, "x"]),
      ("SHORT_BINSTRING", "U\u{1}x"), ("UNICODE", "Vx\n"), ("BINUNICODE", ["X", number4, "x"]),
      ("APPEND", "]Na"), ("BUILD", [name, ")R}b"]), ("GLOBAL", name), ("DICT", "(NNd"),
      ("EMPTY_DICT", "}"), ("APPENDS", "](Ne"), ("GET", "Np5\n0g5\n"), ("BINGET", "Np5\n0h\u{5}"),
      ("INST", "(im\nn\n"), ("LONG_BINGET", "Np5\n0j\u{5}\0\0\0"), ("LIST", "(Nl"),
      ("EMPTY_LIST", "]"), ("OBJ", ["(", name, "o"]), ("PUT", "Np5\n"), ("BINPUT", "Nq\u{5}"),
      ("LONG_BINPUT", "Nr\u{5}\0\0\0"), ("SETITEM", "}NNs"), ("TUPLE", "(Nt"), ("EMPTY_TUPLE", ")"),
      ("SETITEMS", "}(NNu"), ("BINFLOAT", ["G", number8]), ("PROTO", "\u{80}\u{4}"),
      ("NEWOBJ", [name, ")\u{81}"]), ("EXT1", "\u{82}\u{1}"), ("EXT2", "\u{83}\u{1}\0"),
      ("EXT4", ["\u{84}", number4]), ("TUPLE1", "N\u{85}"), ("TUPLE2", "NN\u{86}"),
      ("TUPLE3", "NNN\u{87}"), ("NEWTRUE", "\u{88}"), ("NEWFALSE", "\u{89}"),
      ("LONG1", "\u{8A}\u{1}x"), ("LONG4", ["\u{8B}", number4, "x"]),
      ("BINBYTES", ["B", number4, "x"]),
      ("SHORT_BINBYTES", "C\u{1}x"), ("SHORT_BINUNICODE", "\u{8C}\u{1}x"),
      ("BINUNICODE8", ["\u{8D}", number8, "x"]), ("BINBYTES8", ["\u{8E}", number8, "x"]),
      ("EMPTY_SET", "\u{8F}"), ("ADDITEMS", "\u{8F}(N\u{90}"), ("FROZENSET", "(N\u{91}"),
      ("NEWOBJ_EX", [name, ")}\u{92}"]), ("STACK_GLOBAL", "U\u{1}mU\u{1}n\u{93}"),
      ("MEMOIZE", "N\u{94}"), ("FRAME", "\u{95}\0\0\0\0\0\0\0\0"),
      ("BYTEARRAY8", ["\u{96}", number8, "x"]), ("NEXT_BUFFER", "\u{97}"),
      ("READONLY_BUFFER", "C\u{1}x\u{98}"),
    ]
  }()

  @Test("A call is seen behind every opcode, and before it")
  func everyOpcode() throws {
    // All but STOP.
    #expect(Set(Self.opcodes.map(\.0)).count == 67)
    let call = O.call(O.system, "N")
    for (name, opcode) in Self.opcodes {
      for pickle in [opcode + call + ".", "]" + call + opcode + ".", call + "0" + opcode + "."]
        as [Opcodes]
      {
        let effects = try effects(pickle)
        #expect(effects.isComplete, "\(name): \(effects.problems)")
        #expect(effects.verdict == .dangerous, "\(name)")
        let found = effects.findings.first { $0.module == "os" && $0.name == "system" }
        #expect(found?.use == .called, "\(name)")
      }
    }
  }

  @Test("Each opcode of harmless values alone is followed to its end, without a finding")
  func harmlessOpcodes() throws {
    for (name, opcode) in Self.opcodes {
      let effects = try effects(opcode + "N.")
      #expect(effects.isComplete, "\(name)")
      #expect(effects.end == opcode.bytes.count + 2, "\(name)")
      let expected: GlobalRating =
        effects.findings.isEmpty && !name.hasSuffix("BUFFER") ? .safe : .unknown
      #expect(effects.verdict == expected, "\(name): \(effects.problems) \(effects.findings)")
    }
  }

  @Test("A pickle that ends anywhere tells what it did up to there")
  func cut() throws {
    let call = O.call(O.system, "N")
    for (_, opcode) in Self.opcodes {
      let pickle = call + opcode
      for count in call.bytes.count..<pickle.bytes.count {
        let effects = try PickleEffects(of: .bytes(Array(pickle.bytes[..<count])))
        #expect(!effects.isComplete)
        #expect(effects.verdict == .dangerous)
      }
    }
  }

  private static let tricks: [(String, Opcodes)] = [
    (
      "attributes of attributes",
      O.call(
        O.call(
          O.name("builtins", "getattr"),
          O.call(O.name("builtins", "getattr"), O.name("torch", "serialization"), O.text("os")),
          O.text("system")), "N")
    ),
    (
      "an attribute with a computed name",
      O.call(
        O.name("builtins", "getattr"), O.name("torch", "nn"), O.call(O.name("builtins", "str"), "N")
      )
    ),
    (
      "an attribute of an instance that leads to its class",
      O.call(
        O.name("builtins", "getattr"), O.call(O.name("collections", "OrderedDict")),
        O.text("__class__"))
    ),
    (
      "a method that writes",
      O.call(
        O.call(
          O.name("builtins", "getattr"), O.call(O.name("pathlib", "Path"), O.text("x")),
          O.text("write_text")), O.text("y"))
    ),
    ("attrgetter", O.call(O.name("operator", "attrgetter"), O.text("system"))),
    ("methodcaller", O.call(O.name("_operator", "methodcaller"), O.text("system"))),
    (
      "a bound function",
      O.call(O.call(O.name("functools", "partial"), O.name("builtins", "eval"), O.text("1")))
    ),
    (
      "a bound function in a state",
      [
        O.call(O.name("functools", "partial"), O.name("collections", "OrderedDict")), "(",
        O.name("builtins", "eval"), ")}Ntb",
      ]
    ),
    (
      "a bound function that is computed",
      [O.call(O.name("functools", "partial"), O.name("collections", "OrderedDict")), "(Pid\n)}Ntb"]
    ),
    (
      "a name in a text",
      O.call(O.call(O.name("pkgutil", "resolve_name"), O.text("builtins:print")), "N")
    ),
    (
      "a registered number",
      [
        O.call(O.name("copyreg", "add_extension"), O.text("os"), O.text("system"), "K\u{5}"),
        "0\u{82}\u{5}(NtR",
      ]
    ),
    ("a class that is changed", [O.name("pathlib", "PosixPath"), "}b"]),
    (
      "the class of an instance that is changed",
      [O.call(O.name("builtins", "type"), O.call(O.name("pathlib", "PosixPath"))), "}b"]
    ),
    (
      "the class of a module in a legacy file that is changed",
      ["(", O.text("module"), O.name("torch.nn.modules.linear", "Linear"), "NNtQ}b"]
    ),
    ("an item of a class", [O.name("collections", "deque"), "NNs"]),
    ("what is appended to a class", [O.name("collections", "deque"), "Na"]),
    (
      "objects that are numbers to numpy",
      [O.call(O.name("numpy", "dtype"), O.text("O")), "(K\u{3}", O.text("|"), "NNNI-1\nI-1\nK\0tb"]
    ),
    (
      "numbers that are objects to numpy",
      [
        O.call(O.name("numpy", "dtype"), O.text("f8")), "(K\u{3}", O.text("<"),
        "NNNI-1\nI-1\nK\u{3F}tb",
      ]
    ),
    (
      "the same, by a function that sets a state",
      O.call(
        O.name("torch._tensor", "_rebuild_from_type_v2"), O.name("numpy", "dtype"),
        O.name("numpy", "dtype"),
        ["(", O.text("O"), "t"], ["(K\u{3}", O.text("|"), "NNNI-1\nI-1\nK\0t"])
    ),
    (
      "an array whose memory is in use",
      [
        O.call(
          O.name("numpy.core.multiarray", "_reconstruct"), O.name("numpy", "ndarray"), "(K\0t",
          "C\u{1}b"),
        "q\u{1}(tb0h\u{1}(tb",
      ]
    ),
    ("an item of a tensor", [O.call(O.name("torch._utils", "_rebuild_tensor_v2")), "NNs"]),
    (
      "a function that is called by another",
      O.call(
        O.name("torch._tensor", "_rebuild_from_type_v2"), O.system, O.name("torch", "Tensor"),
        "(Nt", "N")
    ),
    ("a factory", O.call(O.name("collections", "defaultdict"), O.name("builtins", "input"))),
    ("an instance without a call", [O.name("subprocess", "Popen"), ")\u{81}"]),
    (
      "an instance by copyreg",
      O.call(
        O.name("copyreg", "_reconstructor"), O.name("subprocess", "Popen"),
        O.name("builtins", "object"), "N")
    ),
    (
      "a dotted name",
      ["\u{80}\u{4}", O.text("torch.serialization"), O.text("os.system"), "\u{93}"]
    ),
    (
      "a name from computed text",
      [O.call(O.name("builtins", "str"), "C\u{2}os", O.text("ascii")), O.text("system"), "\u{93}"]
    ),
    ("a name from byte strings", "U\u{2}osU\u{6}system\u{93}"),
    ("a name of Python 2", O.call(O.name("commands", "getoutput"), "N")),
    ("a renamed name of Python 2", O.call(O.name("itertools", "imap"), "N")),
    ("a call that is dropped", ["((", O.call(O.system, "N"), "11N"]),
    ("OBJ and POP", ["(", O.system, "No0N"]),
    ("INST", "(Nios\nsystem\n"),
    (
      "bytes that are loaded, and only known then",
      O.call(O.name("torch.storage", "_load_from_bytes"), O.call(O.name("m", "n")))
    ),
    ("a number that readers read differently", "I0x10\n"),
    ("arguments that are a list", [O.name("collections", "OrderedDict"), "]R"]),
    ("an instance as a class", [O.call(O.name("m", "n")), ")\u{81}"]),
    ("a memo number that needs gigabytes", "Nr\0\0\0\u{7F}"),
    ("a state of what has none", "]}b"),
    ("nothing appended to a dict", "}(e"),
    (
      "a name that is too long to be one",
      ["X\u{2C}\u{1}\0\0", Opcodes(String(repeating: "a", count: 300)), O.text("b"), "\u{93}"]
    ),
    ("a frame in a frame", "\u{95}\u{20}\0\0\0\0\0\0\0\u{95}\0\0\0\0\0\0\0\0N"),
    ("a text across the end of its frame", "\u{95}\u{3}\0\0\0\0\0\0\0U\u{3}abc"),
    ("STOP before the end of its frame", "\u{95}\u{9}\0\0\0\0\0\0\0N.NNNNNN"),
  ]

  @Test("No trick hides what a pickle does", arguments: tricks.map(\.0))
  func trick(name: String) throws {
    let opcodes = try #require(Self.tricks.first { $0.0 == name }?.1)
    let effects = try effects(opcodes + ".")
    #expect(effects.verdict == .dangerous, "\(effects.findings) \(effects.problems)")
  }

  @Test("What stands behind damage is looked at")
  func damage() throws {
    for damage in ["\u{FF}", "0", "h\u{9}", "NNR", "K\u{1}K\u{1}\u{93}", "Ix\n", "\u{80}\u{9}"]
      as [Opcodes]
    {
      let damage = "N0" + damage
      let plain = try effects(damage + O.name("collections", "OrderedDict") + ".")
      #expect(plain.verdict == .unknown && !plain.isComplete)
      #expect(try effects(damage + O.name("os", "system") + ".").verdict == .dangerous)
      #expect(try effects(damage + "U\u{2}osU\u{6}system\u{93}.").verdict == .dangerous)
      #expect(try effects(damage + "(ios\nsystem\n.").verdict == .dangerous)
    }
  }

  @Test("The names are those that CPython's unpicklers look up, whatever the memo's numbers are")
  func memo() throws {
    // BINPUT 2 and 5, then MEMOIZE, which takes number 2.
    let pickle: Opcodes = [
      O.text("collections"), "q\u{2}0", O.text("posix"), "q\u{5}0", O.text("system"),
      "\u{94}0h\u{5}h\u{2}\u{93}.",
    ]
    #expect(names(try effects(pickle)) == ["posix.system"])
  }

  // MARK: - Nothing benign is dangerous

  private static let benignPickles: [(String, GlobalRating, Opcodes)] = [
    (
      "a bound method", .unknown,
      O.call(O.name("builtins", "getattr"), O.call(O.name("m", "Model")), O.text("eval"))
    ),
    (
      "a function of torch", .unknown,
      O.call(
        O.name("builtins", "getattr"), O.name("torch._C", "_VariableFunctionsClass"), O.text("relu")
      )
    ),
    ("itemgetter", .safe, O.call(O.name("operator", "itemgetter"), O.text("a"), "K\u{1}")),
    (
      "a partial", .unknown,
      [
        O.call(O.name("functools", "partial"), O.name("torch.nn", "LayerNorm")), "(",
        O.name("torch.nn", "LayerNorm"), ")}Ntb",
      ]
    ),
    ("the type of None", .safe, O.call(O.name("builtins", "type"), "N")),
    (
      "a numpy scalar", .safe,
      O.call(
        O.name("numpy._core.multiarray", "scalar"),
        [
          O.call(O.name("numpy", "dtype"), O.text("f8"), "\u{89}\u{88}"), "(K\u{3}", O.text("<"),
          "NNNI-1\nI-1\nK\0tb",
        ], "C\u{1}x")
    ),
    (
      "an array of objects", .safe,
      [
        O.call(O.name("numpy", "dtype"), O.text("O8"), "\u{89}\u{88}"), "(K\u{3}", O.text("|"),
        "NNNI-1\nI-1\nK\u{3F}tb",
      ]
    ),
    ("a layer", .safe, [O.name("torch.nn.modules.linear", "Linear"), ")\u{81}}b"]),
    (
      "a compiled module", .unknown,
      [O.name("torch._dynamo.eval_frame", "OptimizedModule"), ")\u{81}}b"]
    ),
    (
      "an array of joblib", .unknown,
      [O.name("joblib.numpy_pickle", "NumpyArrayWrapper"), ")\u{81}}b"]
    ),
    ("a namespace", .safe, [O.name("argparse", "Namespace"), ")\u{81}}b"]),
    (
      "an item of a dict of another class", .safe,
      [O.call(O.name("collections", "OrderedDict")), "NNs"]
    ),
  ]

  @Test("What packages write is not dangerous", arguments: benignPickles.map(\.0))
  func benign(name: String) throws {
    let (_, rating, opcodes) = try #require(Self.benignPickles.first { $0.0 == name })
    let effects = try effects(opcodes + ".")
    #expect(effects.verdict == rating, "\(effects.findings) \(effects.problems)")
    #expect(effects.problems.isEmpty && effects.isComplete)
  }

  // MARK: - Files in pickles

  @Test("The bytes of a storage are a file of their own, in each of their encodings")
  func embedded() throws {
    let load = O.name("torch.storage", "_load_from_bytes")
    let encode = O.name("_codecs", "encode")
    let inner: [UInt8] = [0x80, 0xFF, 0x0A, 0x41]
    let cases: [Opcodes] = [
      O.call(load, "C\u{4}\u{80}\u{FF}\n\u{41}"),
      O.call(
        load, O.call(encode, "X\u{6}\0\0\0\u{C2}\u{80}\u{C3}\u{BF}\n\u{41}", O.text("latin1"))),
      O.call(load, O.call(encode, "V\u{80}\u{FF}\\u000aA\n", O.text("latin1"))),
    ]
    for opcodes in cases {
      let source = ByteSource.bytes((opcodes + ".").bytes)
      let effects = try PickleEffects(of: source)
      #expect(effects.verdict == .safe)
      #expect(
        try effects.embedded.map { try $0.contents(in: source, limit: 100)?.allBytes() } == [inner])
    }
  }

  // MARK: - Limits

  @Test("Memory and time are bounded, and what is beyond is never safe")
  func limits() throws {
    let count = 3_000_000
    for byte in [0x5D, 0x28, 0x4E] as [UInt8] {
      let effects = try PickleEffects(of: .bytes([UInt8](repeating: byte, count: count)))
      #expect(effects.verdict == .dangerous)
      #expect(!effects.isComplete)
    }
    var names: [UInt8] = []
    for number in 0..<50_001 { names += Array("cm\n\(number)\n0".utf8) }
    let effects = try PickleEffects(of: .bytes(names + Array("N.".utf8)))
    #expect(effects.verdict == .dangerous)
    #expect(effects.findings.count == 50_000)
  }

  @Test("Pickles that follow each other are read one by one, in any part of a source")
  func consecutive() throws {
    let source = ByteSource.bytes(Array("xxxI5\n.cm\nn\n.Ncos\n".utf8))
    let first = try PickleEffects(of: source, from: 3)
    #expect(first.number == 5 && first.end == 7 && first.findings.isEmpty)
    let second = try PickleEffects(of: source, from: first.end)
    #expect(second.end == 13 && names(second) == ["m.n"] && second.findings[0].offset == 7)
    let third = try PickleEffects(of: source, from: second.end, limit: 14)
    #expect(!third.isComplete && third.end == 14)
  }
}
