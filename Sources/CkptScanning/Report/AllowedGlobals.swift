public import CkptPlatform
internal import CkptText

/// Names that a user has examined and allows, each with a reason.
///
/// A file lists one `module.name` per line, with the reason behind a `#`. Empty lines, and lines
/// that begin with `#`, are ignored.
public struct AllowedGlobals: Sendable {
  /// One allowed name.
  public struct Entry: Sendable, Hashable {
    /// The module and the name, joined by a dot.
    public let name: String
    /// Why it is allowed.
    public let reason: String
    /// The line's number, counted from 1.
    public let line: Int
  }

  /// The maximum size of the file in bytes.
  private static let byteLimit = 4 << 20

  /// The entries, in order.
  public let entries: [Entry]
  /// The path of the file.
  public let path: String

  /// Reads the file at `path`.
  ///
  /// - Throws: ``AllowedGlobalsError`` for a line without a name or a reason, or with a name that
  ///   was listed before; `FileError`.
  public init(contentsOf path: String) throws {
    let file = try File(readingFrom: path)
    guard file.size <= Self.byteLimit,
      let text = String(validating: try file.bytes(at: 0, count: file.size), as: UTF8.self)
    else { throw AllowedGlobalsError(path: path, line: 1, problem: "no list of names") }
    var entries: [Entry] = []
    var seen: Set<String> = []
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      func bad(_ problem: String) -> AllowedGlobalsError {
        AllowedGlobalsError(path: path, line: index + 1, problem: problem)
      }
      let parts = line.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
      let name = Self.trimmed(parts.first ?? "")
      let reason = parts.count == 2 ? Self.trimmed(parts[1]) : ""
      if name.isEmpty { continue }
      guard name.contains("."), !name.contains(where: \.isWhitespace) else {
        throw bad("\(Text.quoted(name)) is no module.name")
      }
      guard !reason.isEmpty else { throw bad("\(Text.printable(name)) is listed without a reason") }
      guard seen.insert(name).inserted else { throw bad("\(Text.printable(name)) is listed twice") }
      entries.append(Entry(name: name, reason: reason, line: index + 1))
    }
    self.entries = entries
    self.path = path
  }

  private static func trimmed(_ text: Substring) -> String {
    var text = text.drop(while: \.isWhitespace)
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}

/// An error in a list of allowed names.
public struct AllowedGlobalsError: Diagnostic, Hashable {
  /// The path of the file.
  public let path: String
  /// The line's number, counted from 1.
  public let line: Int
  /// What is wrong.
  public let problem: String

  /// The category of the error: always a usage error.
  public var kind: DiagnosticKind { .usage }
  /// One line that says what is wrong and where.
  public var description: String { "\(problem) (\(path), line \(line))" }
  /// What the caller can do about the error.
  public var remedies: [Remedy] { ["a line is module.name # why it may be loaded"] }
}

extension ScanReport {
  /// Rates the allowed names as safe, and states the reasons.
  ///
  /// - Returns: the entries that no file names.
  public mutating func allow(_ allowed: AllowedGlobals) -> [AllowedGlobals.Entry] {
    let reasons = Dictionary(uniqueKeysWithValues: allowed.entries.map { ($0.name, $0) })
    var used: Set<String> = []
    for index in files.indices {
      for position in files[index].globals.indices {
        let global = files[index].globals[position]
        guard let entry = reasons[global.module + "." + global.name] else { continue }
        used.insert(entry.name)
        files[index].globals[position].rating = .safe
        files[index].globals[position].reason = "allowed: " + entry.reason
      }
      files[index].rate()
    }
    return allowed.entries.filter { !used.contains($0.name) }
  }
}

extension FileScan {
  /// Computes the verdict from what is listed.
  fileprivate mutating func rate() {
    // What is not listed was rated before, and cannot be allowed.
    guard globals.count < Self.listLimit, findings.count < Self.listLimit else { return }
    verdict = max(
      globals.map(\.rating).max() ?? .safe, findings.map(\.rating).max() ?? .safe,
      skipped.allSatisfy(\.isHarmless) ? .safe : .unknown)
    sortGlobals()
  }
}
