/// What is known about an object while a pickle is followed. Values take 8 bytes; what they refer to
/// is in ``EffectTables``.
enum EffectValue: Sendable {
  /// Objects without attributes that could act.
  enum Plain: UInt8, Sendable {
    case none, bool, number, text, bytes
  }

  /// Objects that opcodes create, with content that is not followed.
  enum Container: UInt8, Sendable {
    case list, dict, set, frozenSet, byteArray
  }

  /// A constant or computed value whose content does not matter, or is too large.
  case plain(Plain)
  /// An int.
  case int(Int32)
  /// A constant str that could be a name, by its number.
  case text(UInt32)
  /// Such a str beyond the limit of those that are kept, by the offset of its bytes.
  case farText(UInt32)
  /// A longer constant str, by the number of its range.
  case longText(UInt32)
  /// A constant bytes object, by the number of its range.
  case bytes(UInt32)
  /// A tuple with known items, by its number.
  case tuple(UInt32)
  /// A tuple with many items.
  case longTuple(isHashable: Bool)
  /// A list, dict, set, frozenset or bytearray.
  case container(Container)
  /// A class, function or module, by the number of its name.
  case name(UInt32)
  /// What a call of a name returned, by the number of the name.
  case instance(UInt32)
  /// A numpy array, by its own number.
  case array(UInt32)
  /// A str that is known only when the file is loaded.
  case computedText
  /// What the loader returns for a persistent ID.
  case persistent
  /// Anything.
  case unknown
}

/// What calling a name does, if that depends on the arguments.
enum EffectForm: UInt8, Sendable {
  /// It only depends on the name.
  case ordinary
  /// `getattr(object, name)`.
  case getattr
  /// `functools.partial(function, …)`.
  case partial
  /// `type(object)`, or `type(name, bases, attributes)`.
  case type
  /// `operator.itemgetter(key)`.
  case itemGetter
  /// A function that creates an instance of the class that is its first argument.
  case constructor
  /// `_codecs.encode(text, encoding)`.
  case encode
  /// `str(…)`.
  case text
  /// `int(…)`, `float(…)`, `bool(…)`.
  case number
  /// `torch.storage._load_from_bytes(bytes)`.
  case loadFromBytes
  /// `torch._tensor._rebuild_from_type(function, type, arguments, state)`.
  case rebuildFromType
  /// `numpy.dtype(code, …)`.
  case dtype
  /// `pkgutil.resolve_name("module:name")`.
  case resolveName
  /// `copyreg.add_extension(module, name, code)`.
  case addExtension

  /// The form of a name of Python 3.
  init(module: String, name: String) {
    self = Self.forms[module + "." + name] ?? .ordinary
  }

  private static let forms: [String: EffectForm] = [
    "builtins.getattr": .getattr, "builtins.type": .type,
    "functools.partial": .partial, "_functools.partial": .partial,
    "operator.itemgetter": .itemGetter, "_operator.itemgetter": .itemGetter,
    "copyreg._reconstructor": .constructor, "copyreg.__newobj__": .constructor,
    "copyreg.__newobj_ex__": .constructor,
    "numpy.core.multiarray._reconstruct": .constructor,
    "numpy._core.multiarray._reconstruct": .constructor,
    "_codecs.encode": .encode, "codecs.encode": .encode,
    "builtins.str": .text, "builtins.unicode": .text,
    "builtins.int": .number, "builtins.long": .number, "builtins.float": .number,
    "builtins.bool": .number,
    "torch.storage._load_from_bytes": .loadFromBytes,
    "torch._tensor._rebuild_from_type": .rebuildFromType,
    "torch._tensor._rebuild_from_type_v2": .rebuildFromType,
    "numpy.dtype": .dtype,
    "pkgutil.resolve_name": .resolveName,
    "copyreg.add_extension": .addExtension,
  ]
}

/// A name that a pickle imports or reaches, and what is known about its use.
struct EffectName: Sendable {
  /// How a pickle comes to the name.
  enum Kind: UInt8, Sendable {
    /// By an import.
    case imported
    /// As an attribute of something imported.
    case attribute
    /// As an attribute of an instance.
    case method
    /// By a number in `copyreg`'s registry.
    case registered
    /// `numpy.dtype` for objects; not a name of its own.
    case objectDType
    /// `numpy.dtype` for structures; not a name of its own.
    case structuredDType
  }

  let module: String
  let name: String
  let kind: Kind
  let form: EffectForm
  /// The offset of the opcode that first reaches it.
  let offset: Int
  var rating: GlobalRating
  var use = PickleFinding.Use.named
  var reason: String?
  /// How often it was put on the stack without being used in a way that is followed.
  var mentions = 0
  /// Whether it was looked up among the names of Python 2.
  var isTranslated = false

  /// Whether using it in a way that is followed leaves nothing to report.
  var isTransparent: Bool { form == .getattr && kind == .imported }

  mutating func raise(to rating: GlobalRating, _ reason: () -> String?) {
    guard rating > self.rating else { return }
    self.rating = rating
    self.reason = reason()
  }
}
