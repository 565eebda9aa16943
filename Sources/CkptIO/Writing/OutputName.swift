internal import CkptText
internal import CkptStateDicts

/// The format that an output's name indicates.
///
/// The ending is the part after the last dot of the last component, if it begins with a letter and
/// has only letters and digits, or is `7z`. Versions (`model.v1`, `model.v1.2`), numbers
/// (`loss=0.25`, `Qwen2.5`), and parts with other characters (`llama-3.1-8B`) are not endings, and
/// a dot at the start does not begin one.
package struct OutputName: Sendable, Hashable {
  /// The meaning of the end of a name.
  package enum Ending: Sendable, Hashable {
    /// A format that can be written.
    case format(Checkpoint.Format)
    /// A folder in Hugging Face's layout: the name ends with a slash.
    case folder
    /// There is no ending.
    case none
    /// An ending that is not one of a supported format, and the most similar one that is.
    case unknown(String, nearest: String)
  }

  /// The name as given.
  package let path: String
  /// The meaning of its end.
  package let ending: Ending

  /// Parses the name of an output.
  package init(_ path: String) {
    self.path = path
    ending = Self.ending(of: path)
  }

  /// The endings with their formats, from ``FormatWriter/endings``.
  static var known: [(ending: String, format: Checkpoint.Format)] {
    FormatRegistry.writers.flatMap { writer in
      writer.endings.map { (ending: $0, format: writer.format) }
    }
  }

  private static func ending(of path: String) -> Ending {
    guard !path.hasSuffix("/") else { return .folder }
    let fits = known.filter { path.hasSuffix($0.ending) }
    if let format = fits.max(by: { $0.ending.utf8.count < $1.ending.utf8.count })?.format {
      return .format(format)
    }
    let name = path.split(separator: "/").last ?? ""
    guard let last = ending(ofName: name) else { return .none }
    return .unknown("." + last, nearest: nearest(to: last, of: name))
  }

  /// The part after the last dot, if it is an ending.
  private static func ending(ofName name: Substring) -> Substring? {
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return nil }
    let text = name[name.index(after: dot)...]
    guard let first = text.utf8.first else { return nil }
    func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    func isLetter(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
    guard text.utf8.allSatisfy({ isDigit($0) || isLetter($0) }) else { return nil }
    if text.lowercased() == "7z" { return text }
    guard isLetter(first) else { return nil }
    let isVersion =
      first | 0x20 == UInt8(ascii: "v") && text.utf8.count > 1
      && text.utf8.dropFirst().allSatisfy(isDigit)
    return isVersion ? nil : text
  }

  /// Endings that may come after another one.
  private static let outer: Set = [
    "gz", "bz2", "xz", "zst", "zstd", "lz4", "7z", "zip", "rar", "br", "tgz", "tmp", "bak", "part",
  ]
  private static let otherTools: [String: String] = [
    "npx": ".npz", "ggml": ".gguf", "pt2": ".pt", "pdparams": ".pt", "pickle": ".pkl",
    "torch": ".pt", "pytorch": ".pt", "checkpoint": ".ckpt", "index": ".index.json",
    "json": ".index.json",
  ]

  /// The known ending that was probably intended.
  private static func nearest(to ending: Substring, of name: Substring) -> String {
    let text = ending.lowercased()
    if outer.contains(text) {
      // For x.pt.gz, this is .pt.
      let inner = name.dropLast(ending.count + 1)
      if case .format = Self.ending(of: String(inner)),
        let known = known.map(\.ending).filter({ inner.hasSuffix($0) }).max(by: {
          $0.utf8.count < $1.utf8.count
        })
      {
        return known
      }
      return ".pt"
    }
    if let other = otherTools[text] { return other }
    let distances = known.map {
      (
        ending: $0.ending,
        distance: NearestKeys.editDistance(
          Array(text.utf8.prefix(64)), Array($0.ending.dropFirst().utf8))
      )
    }
    guard let best = distances.min(by: { $0.distance < $1.distance }),
      best.distance <= max(1, text.utf8.count / 4)
    else { return ".safetensors" }
    return best.ending
  }
}

extension OutputName {
  /// The format for an output of this name.
  ///
  /// - Parameters:
  ///   - format: an explicitly requested format, which takes precedence over the ending.
  ///   - input: the input's format, which is kept if neither determines one.
  /// - Throws: `CheckpointError.unknownEnding`, `.unwritableFormat`, `.cannotKeepFormat`,
  ///   `.noFolderOf`.
  package func format(
    _ format: Checkpoint.Format?, keeping input: @autoclosure () throws -> Checkpoint.Format
  ) throws -> Checkpoint.Format {
    let wanted: Checkpoint.Format
    switch (ending, format) {
    case (.folder, let format):
      switch format {
      case nil, .safetensors?, .safetensorsIndex?: return .safetensorsIndex
      case .pytorchZip?, .pytorchIndex?: return .pytorchIndex
      case .distributed?: return .distributed
      case let other?: throw CheckpointError.noFolderOf(other, path: path)
      }
    case (_, let format?): wanted = format
    case (.format(let format), nil): wanted = format
    case (.unknown(let ending, let nearest), nil):
      throw CheckpointError.unknownEnding(path: path, ending: ending, nearest: nearest)
    case (.none, nil):
      wanted = try input()
      guard Checkpoint.Format.writable.contains(wanted) else {
        throw CheckpointError.cannotKeepFormat(path: path, wanted)
      }
    }
    guard Checkpoint.Format.writable.contains(wanted) else {
      throw CheckpointError.unwritableFormat(wanted)
    }
    return wanted
  }
}
