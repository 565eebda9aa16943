internal import CkptPlatform

/// The files of a DeepSpeed checkpoint, sorted by rank.
struct DeepSpeedFolder {
  /// The folder.
  let folder: Folder
  /// The names of the files with the module's state, of each rank or of rank 0 only.
  let modelStates: [String]
  /// The names of the files with the optimizer's state of each rank, which contain its part of the
  /// parameters.
  let optimizerStates: [String]

  static let modelEnding = "_model_states.pt"
  static let optimizerEnding = "_optim_states.pt"
  /// The name of the file that contains the name of the last checkpoint's folder.
  private static let latest = "latest"

  /// Finds the checkpoint in `folder`, or the last one if it is a folder of checkpoints; nil if
  /// there is none.
  init?(_ folder: Folder) throws {
    if Self.holdsStates(folder) {
      self.init(states: folder)
      return
    }
    guard folder.contains(Self.latest) else { return nil }
    let file = try folder.open(Self.latest)
    guard file.size <= 255 else { return nil }
    let tag = String(decoding: try file.bytes(at: 0, count: file.size), as: UTF8.self)
      .split(whereSeparator: \.isWhitespace)
    guard tag.count == 1, let name = tag.first.map(String.init), folder.contains(name) else {
      return nil
    }
    let inner = try folder.subfolder(name)
    guard Self.holdsStates(inner) else { return nil }
    self.init(states: inner)
  }

  private init(states folder: Folder) {
    self.folder = folder
    func ordered(_ ending: String) -> [String] {
      folder.names.filter { $0.hasSuffix(ending) }
        .map { (name: $0, parts: NaturalOrder($0)) }
        .sorted { $0.parts < $1.parts }.map(\.name)
    }
    modelStates = ordered(Self.modelEnding)
    optimizerStates = ordered(Self.optimizerEnding)
  }

  private static func holdsStates(_ folder: Folder) -> Bool {
    folder.names.contains { $0.hasSuffix(modelEnding) }
      && folder.names.contains { $0.hasSuffix(optimizerEnding) }
  }
}

/// Compares names with digits as numbers, so that rank 10 comes after rank 9.
private struct NaturalOrder: Comparable {
  private let parts: [(text: [UInt8], number: Int)]

  init(_ name: String) {
    var parts: [(text: [UInt8], number: Int)] = []
    var rest = Array(name.utf8)[...]
    while !rest.isEmpty {
      let text = rest.prefix { !(0x30...0x39).contains($0) }
      rest = rest.dropFirst(text.count)
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      rest = rest.dropFirst(digits.count)
      parts.append((Array(text), Int(String(decoding: digits, as: UTF8.self)) ?? -1))
    }
    self.parts = parts
  }

  static func < (left: NaturalOrder, right: NaturalOrder) -> Bool {
    for (a, b) in zip(left.parts, right.parts) {
      if a.text != b.text { return a.text.lexicographicallyPrecedes(b.text) }
      if a.number != b.number { return a.number < b.number }
    }
    return left.parts.count < right.parts.count
  }

  static func == (left: NaturalOrder, right: NaturalOrder) -> Bool {
    !(left < right) && !(right < left)
  }
}
