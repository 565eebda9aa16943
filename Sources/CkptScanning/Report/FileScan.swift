/// What was found in one file.
public struct FileScan: Sendable {
  /// A class or function by name.
  public struct Global: Sendable, Hashable {
    /// The module that the pickle names; `copyreg` for an extension code.
    public let module: String
    /// The name in the module, with dots for attributes of attributes.
    public let name: String
    /// The rating of the name and what is done with it.
    public internal(set) var rating: GlobalRating
    /// Whether a pickle calls it, instantiates it, or changes it, rather than only referring to it.
    public internal(set) var isCalled: Bool
    /// The first pickle that names it.
    public let pickle: String
    /// Why it is rated so, if that is not obvious from the name.
    public internal(set) var reason: String?
  }

  /// Something else that decides the verdict: damage, an archive that readers read differently, a
  /// template or an operator that acts.
  public struct Finding: Sendable, Hashable {
    /// What was found.
    public let what: String
    /// The rating; never `safe`.
    public let rating: GlobalRating
    /// The pickle, record or member; empty for the whole file.
    public let place: String
    /// Whether the file is damaged there.
    public let isDamage: Bool
  }

  /// A part that was not looked into.
  public struct Skipped: Sendable, Hashable {
    /// The record or member; the file itself if it is empty.
    public let what: String
    /// Why it was not looked into.
    public let why: String
    /// Whether it is data from which nothing can be run, such as an image.
    public let isHarmless: Bool
  }

  /// The path of the file, as it was named; in a folder, with the folder's path.
  public let file: String
  /// Each name once, dangerous ones first, then in order of appearance.
  public internal(set) var globals: [Global] = []
  /// Everything else that was found.
  public internal(set) var findings: [Finding] = []
  /// What was not looked into.
  public internal(set) var skipped: [Skipped] = []
  /// The pickles that were read; at most ``listLimit`` of them are listed.
  public internal(set) var pickles: [String] = []
  /// The number of pickles that were read.
  public internal(set) var pickleCount = 0
  /// Whether the file is of a format that was examined, such as safetensors or an archive, though no
  /// pickle may be in it.
  package internal(set) var isRecognized = false

  /// The maximum number of pickles, of names, of other findings and of skipped parts that are
  /// listed for a file; what is beyond still counts for the verdict.
  public static let listLimit = 10_000

  /// The worst rating, including what is not listed; at least `unknown` if something that could
  /// hold code was not looked into.
  public internal(set) var verdict = GlobalRating.safe

  /// Whether a part of the file is damaged.
  public var isDamaged: Bool { findings.contains(where: \.isDamage) }

  init(file: String) { self.file = file }

  /// Whether nothing was found and nothing was read.
  var isEmpty: Bool { pickleCount == 0 && findings.isEmpty && !isRecognized }
}

extension FileScan {
  /// Adds a finding, unless it is there or there are too many.
  mutating func add(_ finding: Finding) {
    verdict = max(verdict, finding.rating)
    guard findings.count < Self.listLimit, !findings.contains(finding) || findings.count > 100
    else { return }
    findings.append(finding)
  }

  /// Adds a part that was not looked into.
  mutating func add(_ part: Skipped) {
    if !part.isHarmless { verdict = max(verdict, .unknown) }
    if skipped.count < Self.listLimit { skipped.append(part) }
  }

  /// Adds a pickle that was read.
  mutating func add(pickle: String) {
    pickleCount += 1
    if pickles.count < Self.listLimit { pickles.append(pickle) }
  }

  /// Sorts the names by their rating, and computes the verdict anew after ratings were changed.
  mutating func sortGlobals() {
    globals = globals.enumerated().sorted {
      ($1.element.rating, $0.offset) < ($0.element.rating, $1.offset)
    }.map(\.element)
  }
}
