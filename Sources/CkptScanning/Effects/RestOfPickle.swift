extension EffectInput {
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
    while let block = try remainder() {
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
  /// The word that ended with the previous line, if only that newline stands between.
  private var line: [UInt8]?
  /// A module that acts, which stood as a constant.
  private var module: String?
  /// The words of which enough have been compared.
  private var checks = 0

  /// Takes the next byte; gives the name that it completes.
  mutating func take(_ byte: UInt8) -> String? {
    if Self.isLetter(byte) {
      if word.count <= Self.limit { word.append(byte) }
      return nil
    }
    defer { word.removeAll(keepingCapacity: true) }
    if byte == 0x93, let module { return module }
    guard !word.isEmpty, word.count <= Self.limit else {
      line = nil
      return nil
    }
    let previous = line
    line = byte == 0x0A ? word : nil
    if byte == 0x0A, let previous, let found = global(previous, word) { return found }
    constant()
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
    let name = String(decoding: name, as: UTF8.self)
    for index in module.indices
    where module[index] == UInt8(ascii: "c") || module[index] == UInt8(ascii: "i") {
      let module = String(decoding: module[(index + 1)...], as: UTF8.self)
      if ActingNames.contains(module, name) { return module + "." + name }
      let new = Python2Names.translated(module, name)
      if ActingNames.contains(new.module, new.name) { return module + "." + name }
    }
    return nil
  }

  /// Keeps the current word if it is a module that acts. Its length may be a letter before it.
  private mutating func constant() {
    guard module == nil else { return }
    for start in [0, 1] where word.count > start {
      let text = String(decoding: word[start...], as: UTF8.self)
      if ActingNames.containsModule(text) { module = text }
    }
  }
}
