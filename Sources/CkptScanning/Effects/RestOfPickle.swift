extension EffectInput {
  /// The maximum number of bytes that are searched.
  private static let searchLimit = 16 << 20

  /// A name that acts in the bytes that are left, if they hold one: two lines after the opcode of a
  /// global, or a constant str that names a module that acts, before the opcode that takes a
  /// global's names from the stack.
  ///
  /// It is asked where every reader should have stopped, so that a mistake in following a pickle
  /// does not hide what stands behind it.
  ///
  /// - Throws: what reading throws.
  mutating func actingName() throws -> String? {
    var search = ActingNameSearch()
    let start = position
    while position - start < Self.searchLimit, let block = try remainder() {
      for byte in block {
        if let name = search.take(byte) { return name }
      }
    }
    return nil
  }
}

/// Searches bytes for names that act, one byte at a time.
private struct ActingNameSearch {
  private static let limit = EffectTables.textLimit
  /// The letters of the current word.
  private var word: [UInt8] = []
  /// The eight bytes before the current word, the nearest one in the lowest bits, and the byte
  /// before these.
  private var before: (UInt64, UInt8) = (0, 0)
  private var last: (UInt64, UInt8) = (0, 0)
  /// The word that ended with the previous line, if only that newline stands between.
  private var line: [UInt8]?
  /// A module that acts, which stood as a constant.
  private var module: String?
  /// The number of names that are compared at most.
  private var checksLeft = 10_000

  /// Takes the next byte; gives the name that it completes.
  mutating func take(_ byte: UInt8) -> String? {
    defer { last = (last.0 << 8 | UInt64(byte), UInt8(last.0 >> 56)) }
    if Self.isLetter(byte) {
      if word.isEmpty { before = last }
      if word.count <= Self.limit { word.append(byte) }
      return nil
    }
    defer { word.removeAll(keepingCapacity: true) }
    if byte == 0x93, let module { return module }
    guard word.count > 1, word.count <= Self.limit else {
      line = nil
      return nil
    }
    if byte == 0x0A, let line, let found = global(line, word) { return found }
    line = byte == 0x0A ? word : nil
    if module == nil { module = constant(before: byte) }
    return nil
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2E: true
    default: false
    }
  }

  /// The name of a GLOBAL or INST whose lines end in `module` and `name`.
  private mutating func global(_ module: [UInt8], _ name: [UInt8]) -> String? {
    for index in module.indices
    where module[index] == UInt8(ascii: "c") || module[index] == UInt8(ascii: "i") {
      let module = module[(index + 1)...]
      guard Self.mayAct(module) else { continue }
      guard checksLeft > 0 else { return "more names than are compared" }
      checksLeft -= 1
      let (text, name) = (
        String(decoding: module, as: UTF8.self), String(decoding: name, as: UTF8.self)
      )
      if ActingNames.contains(text, name) { return text + "." + name }
      let new = Python2Names.translated(text, name)
      if ActingNames.contains(new.module, new.name) { return text + "." + name }
    }
    return nil
  }

  /// Whether the first part of a module's name is that of one that acts.
  private static func mayAct(_ module: ArraySlice<UInt8>) -> Bool {
    let first = module.prefix(32).prefix { $0 != UInt8(ascii: ".") }
    return first.count < 32 && packages.contains(String(decoding: first, as: UTF8.self))
  }

  private static let packages = ActingNames.packages.union(Python2Names.packages)

  /// The module that acts which the current word is, as the constant of an opcode for a str.
  private func constant(before next: UInt8) -> String? {
    for part in constants(before: next) where Self.mayAct(part) {
      let text = String(decoding: part, as: UTF8.self)
      if ActingNames.containsModule(text) { return text }
    }
    return nil
  }

  /// The texts that the current word may be: a line, a quoted str, or as many letters as the length
  /// before them says, in one byte (which may be a letter), four, or eight.
  private func constants(before next: UInt8) -> [ArraySlice<UInt8>] {
    let nearest = before.0
    var parts: [ArraySlice<UInt8>] = []
    func isShort(_ opcode: UInt64) -> Bool { opcode == 0x8C || opcode == 0x55 }
    func add(_ length: UInt64, from start: Int = 0) {
      guard length > 0, length <= UInt64(word.count - start) else { return }
      parts.append(word[start..<start + Int(length)])
    }
    if next == 0x0A, word[0] == UInt8(ascii: "V") { parts.append(word.dropFirst()) }
    if next == 0x27 || next == 0x22, nearest & 0xFF == UInt64(next) { parts.append(word[...]) }
    if isShort(nearest >> 8 & 0xFF) { add(nearest & 0xFF) }
    if isShort(nearest & 0xFF) { add(UInt64(word[0]), from: 1) }
    if nearest & 0xFF_FFFF == 0 {
      let opcode = nearest >> 32 & 0xFF
      if opcode == 0x58 || opcode == 0x54 { add(nearest >> 24 & 0xFF) }
    }
    if nearest & 0xFF_FFFF_FFFF_FFFF == 0, before.1 == 0x8D { add(nearest >> 56) }
    return parts
  }
}
