internal import CkptBytes
internal import CkptIO
internal import CkptTensors

extension FileScanner {
  /// The maximum size in bytes of a file that a pickle holds as text.
  private static var embeddedLimit: Int { 64 << 20 }

  /// Follows the pickles at the beginning of a content, one after the other; returns whether there
  /// is one.
  ///
  /// A file is no proof against being loaded as a pickle because it is something else, too. Bytes
  /// behind the last pickle that are none are data, such as the storages of PyTorch's formats
  /// before 1.6.
  ///
  /// - Parameter begin: the offset of the first one.
  mutating func examinePickles(
    _ content: ScanContent, _ start: [UInt8], from begin: Int = 0, isKnown: Bool
  ) throws -> Bool {
    let source = content.source
    var offset = begin
    var count = 0
    while offset < source.byteCount, !budget.isUsedUp {
      let effects = try PickleEffects(
        of: source, from: offset, isTorchScript: content.isTorchScript)
      use(max(effects.end - offset, 64))
      // PyTorch before 1.6 writes five pickles, before what is data.
      let first =
        count == 0
        ? start
        : try source.bytes(in: offset..<min(offset + 2, source.byteCount))
      guard
        isPickle(
          effects, at: offset, content, first, isKnown: count == 0 ? isKnown : count >= 5)
      else { break }
      let place = self.place(of: offset, isOnly: count == 0 && !content.place.isEmpty, content)
      add(effects, in: place)
      try enqueue(embedded(in: effects, content, place))
      count += 1
      guard effects.isComplete, effects.end > offset else { return true }
      offset = effects.end
      if count == 1, let member = content.tarMember {
        try examine(member, count: effects.number, from: offset, content)
        return true
      }
    }
    return count > 0
  }

  private func place(of offset: Int, isOnly: Bool, _ content: ScanContent) -> String {
    isOnly ? content.place : content.place(of: "pickle at byte \(offset)")
  }

  /// Whether what was followed is a pickle, rather than data that look like its first opcodes.
  ///
  /// - Parameters:
  ///   - start: the bytes at `offset`, at least one.
  ///   - isKnown: whether the bytes are known to be something else.
  private func isPickle(
    _ effects: PickleEffects, at offset: Int, _ content: ScanContent, _ start: [UInt8],
    isKnown: Bool
  ) -> Bool {
    let acts = effects.findings.contains { $0.rating == .dangerous || $0.use > .named }
    if acts { return true }
    if offset == 0, content.isNamedPickle { return true }
    // STOP alone is no pickle: loading it fails, and a full stop begins many names.
    if effects.isComplete { return effects.end - offset > 1 }
    // Text may begin with letters that name something.
    if offset == 0, OtherFile.isText(Array(start.prefix(512))) { return false }
    if !effects.findings.isEmpty { return true }
    // The opcode of a protocol, followed by one that exists, or cut off.
    return !isKnown && start[0] == 0x80 && (start.count < 2 || start[1] <= 5)
  }

  /// The files in a pickle that loading it loads, too.
  private mutating func embedded(
    in effects: PickleEffects, _ content: ScanContent, _ place: String
  ) throws -> [ScanContent] {
    var parts: [ScanContent] = []
    for file in effects.embedded {
      let inner = "\(place): bytes at \(file.range.lowerBound)"
      let limit = min(Self.embeddedLimit, budget.left)
      guard let source = try file.contents(in: content.source, limit: limit) else {
        skip(inner, "a file that is written as text, and too long or damaged")
        continue
      }
      if case .bytes(let bytes) = source { use(bytes.count) }
      parts.append(ScanContent(place: inner, source: source, depth: content.depth + 1))
    }
    return parts
  }

  // MARK: - PyTorch's tar archives

  /// Follows a member in which each of `count` pickles is followed by numbers.
  private mutating func examine(
    _ member: ScanContent.TarMember, count: Int?, from start: Int, _ content: ScanContent
  ) throws {
    let source = content.source
    var offset = start
    var left = count ?? 0
    while left > 0, offset < source.byteCount, !budget.isUsedUp {
      let effects = try PickleEffects(of: source, from: offset)
      use(max(effects.end - offset, 64))
      add(effects, in: content.place(of: "pickle at byte \(offset)"))
      guard effects.isComplete,
        let size = try Self.byteCount(behind: effects, in: source, member)
      else { break }
      offset = effects.end + size
      left -= 1
    }
    // The list of views stands behind the storages.
    while left == 0, offset < source.byteCount, !budget.isUsedUp {
      let effects = try PickleEffects(of: source, from: offset)
      use(max(effects.end - offset, 64))
      guard effects.isComplete || !effects.findings.isEmpty else { break }
      add(effects, in: content.place(of: "pickle at byte \(offset)"))
      guard effects.isComplete, effects.end > offset else { return }
      offset = effects.end
    }
    if count == nil || left > 0 || offset < source.byteCount {
      find("it cannot be followed to its end", in: content.place, isDamage: true)
    }
  }

  /// The number of bytes behind the pickle about a tensor (its rank, sizes, strides, and offset) or
  /// a storage (its count and elements); nil if it is invalid.
  private static func byteCount(
    behind notes: PickleEffects, in source: ByteSource, _ member: ScanContent.TarMember
  ) throws -> Int? {
    let left = source.byteCount - notes.end
    guard left >= 8 else { return nil }
    let isTensor = member == .tensors
    let bytes = try source.bytes(in: notes.end..<notes.end + (isTensor ? 4 : 8))
    let count = Int(littleEndian: bytes)
    var size: Int?
    if isTensor {
      size = (0...64).contains(count) ? 16 * count + 8 : nil
    } else {
      let types = notes.findings.compactMap { StorageTable.dtypes[$0.name] }
      size = count >= 0 ? types.last?.byteCount(ofElements: count) : nil
    }
    guard let size, size <= left - 8 else { return nil }
    return 8 + size
  }
}
