/// The texts, byte ranges, tuples, and names that values refer to. Each table is limited, so that
/// memory does not grow with the pickle; values beyond that are less exact.
struct EffectTables: Sendable {
  /// The maximum number of bytes of a str that can be a name.
  static let textLimit = 256
  /// The maximum number of items of a tuple whose items are followed.
  static let tupleLimit = 9
  private static let poolLimit = 8 << 20
  private static let entryLimit = 1 << 18
  private static let itemLimit = 2 << 20
  private static let nameLimit = 50_000

  private struct Text: Sendable {
    var start: UInt32
    var count: UInt16
    var source: EmbeddedFile.Encoding
    var offset: Int
    var byteCount: UInt32
  }
  private struct Key: Hashable, Sendable {
    var module, name: String
    var kind: EffectName.Kind
  }

  private var pool: [UInt8] = []
  private var texts: [Text] = []
  private var ranges: [EmbeddedFile] = []
  private var items: [EffectValue] = []
  private var tuples: [(start: UInt32, count: UInt8, isHashable: Bool)] = []
  private var numbers: [Key: UInt32] = [:]
  /// The arrays: the number of the class, and whether the state was set.
  private var arrays: [(cls: UInt32, isBuilt: Bool)] = []
  /// The names, in order of appearance.
  private(set) var names: [EffectName] = []

  // MARK: - Texts

  /// A str of at most ``textLimit`` bytes, which stands in `range` of the source.
  mutating func add(
    text: ArraySlice<UInt8>, in range: Range<Int>, _ encoding: EmbeddedFile.Encoding
  ) -> EffectValue {
    guard text.count <= Self.textLimit, range.count <= UInt32.max else {
      return add(longText: range, encoding)
    }
    guard pool.count < Self.poolLimit, texts.count < Self.entryLimit else {
      return UInt32(exactly: range.lowerBound).map { .farText($0) } ?? .plain(.text)
    }
    texts.append(
      Text(
        start: UInt32(pool.count), count: UInt16(text.count), source: encoding,
        offset: range.lowerBound, byteCount: UInt32(range.count)))
    pool += text
    return .text(UInt32(texts.count - 1))
  }

  /// A longer str, which stands in `range` of the source.
  mutating func add(
    longText range: Range<Int>, _ encoding: EmbeddedFile.Encoding
  ) -> EffectValue {
    add(EmbeddedFile(range: range, encoding: encoding)).map { .longText($0) } ?? .plain(.text)
  }

  /// A bytes object.
  mutating func add(bytes: EmbeddedFile) -> EffectValue {
    add(bytes).map { .bytes($0) } ?? .plain(.bytes)
  }

  private mutating func add(_ range: EmbeddedFile) -> UInt32? {
    guard ranges.count < Self.entryLimit else { return nil }
    ranges.append(range)
    return UInt32(ranges.count - 1)
  }

  /// The content of a constant str that could be a name; nil for other values.
  func text(_ value: EffectValue) -> String? {
    guard case .text(let number) = value else { return nil }
    let text = texts[Int(number)]
    return String(
      decoding: pool[Int(text.start)..<Int(text.start) + Int(text.count)], as: UTF8.self)
  }

  /// Where the content of a constant str or bytes object stands; nil for other values.
  func source(_ value: EffectValue) -> EmbeddedFile? {
    switch value {
    case .text(let number):
      let text = texts[Int(number)]
      return EmbeddedFile(
        range: text.offset..<text.offset + Int(text.byteCount), encoding: text.source)
    case .longText(let number), .bytes(let number): return ranges[Int(number)]
    default: return nil
    }
  }

  // MARK: - Tuples

  /// A tuple.
  mutating func add(tuple: ArraySlice<EffectValue>) -> EffectValue {
    let isHashable = tuple.allSatisfy { self.isHashable($0) }
    guard tuple.count <= Self.tupleLimit, items.count < Self.itemLimit,
      tuples.count < Self.entryLimit
    else { return .longTuple(isHashable: isHashable) }
    tuples.append((UInt32(items.count), UInt8(tuple.count), isHashable))
    items += tuple
    return .tuple(UInt32(tuples.count - 1))
  }

  /// The items of a tuple; nil for other values and long tuples.
  func items(_ value: EffectValue) -> ArraySlice<EffectValue>? {
    guard case .tuple(let number) = value else { return nil }
    let tuple = tuples[Int(number)]
    return items[Int(tuple.start)..<Int(tuple.start) + Int(tuple.count)]
  }

  /// Whether an object can be the key of a dict, as far as is known.
  func isHashable(_ value: EffectValue) -> Bool {
    switch value {
    case .container(let kind): kind == .frozenSet
    case .tuple(let number): tuples[Int(number)].isHashable
    case .longTuple(let isHashable): isHashable
    default: true
    }
  }

  // MARK: - Arrays

  /// An array of a class.
  mutating func addArray(of cls: UInt32) -> EffectValue {
    guard arrays.count < Self.entryLimit else { return .unknown }
    arrays.append((cls, false))
    return .array(UInt32(arrays.count - 1))
  }

  /// Notes that the state of an array is set; returns whether it was set before.
  mutating func build(array number: UInt32) -> Bool {
    defer { arrays[Int(number)].isBuilt = true }
    return arrays[Int(number)].isBuilt
  }

  /// The number of the class or function whose result a value is; nil for other values.
  func origin(_ value: EffectValue) -> UInt32? {
    switch value {
    case .instance(let number): number
    case .array(let number): arrays[Int(number)].cls
    default: nil
    }
  }

  // MARK: - Names

  /// The number of a name, which is rated when it first appears; nil if there are too many.
  mutating func number(
    of module: String, _ name: String, _ kind: EffectName.Kind, at offset: Int,
    rating: () -> (GlobalRating, String?)
  ) -> UInt32? {
    let key = Key(module: module, name: name, kind: kind)
    if let number = numbers[key] { return number }
    guard names.count < Self.nameLimit else { return nil }
    let number = UInt32(names.count)
    numbers[key] = number
    let (rating, reason) = rating()
    let current = Python2Names.translated(module, name)
    names.append(
      EffectName(
        module: module, name: name, kind: kind,
        form: EffectForm(module: current.module, name: current.name), offset: offset,
        rating: rating, reason: reason))
    return number
  }

  /// The name with a number.
  subscript(number: UInt32) -> EffectName {
    get { names[Int(number)] }
    set { names[Int(number)] = newValue }
  }
}
