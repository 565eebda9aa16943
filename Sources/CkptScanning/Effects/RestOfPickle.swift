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
  /// The eight bytes before the current word, the nearest one in the lowest bits.
  private var before: UInt64 = 0
  private var last: UInt64 = 0
  /// The word that ended with the previous line, if only that newline stands between.
  private var line: [UInt8]?
  /// A module that acts, which stood as a constant.
  private var module: String?

  /// Takes the next byte; gives the name that it completes.
  mutating func take(_ byte: UInt8) -> String? {
    defer { last = last << 8 | UInt64(byte) }
    if Self.isLetter(byte) {
      if word.isEmpty { before = last }
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
    if module == nil { module = constants.first { ActingNames.containsModule($0) } }
    return nil
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x2E: true
    default: false
    }
  }

  /// The name of a GLOBAL or INST whose lines end in `module` and `name`.
  private func global(_ module: [UInt8], _ name: [UInt8]) -> String? {
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

  /// The texts that the current word may be: a line, a quoted str, or as many letters as the length
  /// before them says, in one byte (which may be a letter), four, or eight.
  private var constants: [String] {
    var parts = [word[...], word.dropFirst()]
    var lengths = [before & 0xFF]
    if before & 0xFF_FFFF == 0 { lengths.append(before >> 24 & 0xFF) }
    if before & 0xFF_FFFF_FFFF_FFFF == 0 { lengths.append(before >> 56) }
    for length in lengths where length > 0 && length < word.count {
      parts.append(word[..<Int(length)])
    }
    if let length = word.first.map(Int.init), length < word.count - 1 {
      parts.append(word[1...length])
    }
    return parts.map { String(decoding: $0, as: UTF8.self) }
  }
}
