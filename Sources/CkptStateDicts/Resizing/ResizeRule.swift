public import CkptPatterns
public import CkptPlatform

/// A way to make a tensor fit a shape that differs from its own.
public enum ResizeMode: Sendable, Hashable {
  /// Position embeddings are interpolated on their grid, bicubically, as timm does
  /// (`resample_abs_pos_embed`).
  ///
  /// Position embeddings are interpolated. The number of prefix tokens (class, register) outside of
  /// the grid, and the heights and widths of the grids, are inferred if both grids are squares;
  /// otherwise they must be given.
  case bicubic(prefix: Int?, from: GridSize?, to: GridSize?)
  /// An input convolution's channels are repeated and scaled, or summed to one, as timm does
  /// (`adapt_input_conv`).
  case channels
  /// The rows of a vocabulary that are missing keep the base's values.
  case pad
  /// The rows of a vocabulary that are missing are zeros.
  case padWithZeros
  /// The rows of a vocabulary that are too many are left out.
  case crop
  /// The base gets fresh values, as PyTorch initializes the layer by default.
  case reinitialize

  /// The height and width of a grid.
  public struct GridSize: Sendable, Hashable {
    /// The number of rows.
    public let height: Int
    /// The number of columns.
    public let width: Int

    /// A grid of `height` rows and `width` columns, each at least 1.
    public init(height: Int, width: Int) {
      self.height = height
      self.width = width
    }

    /// As in `14x14`.
    init?(_ written: some StringProtocol) {
      let parts = written.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
      guard parts.count == 2, let height = parts[0], let width = parts[1],
        (1...65_536).contains(height), (1...65_536).contains(width)
      else { return nil }
      self.init(height: height, width: width)
    }

    var count: Int { height * width }
  }
}

/// A rule that says which tensors are resized to fit a model, and by which mode.
public struct ResizeRule: Sendable, Hashable {
  /// The keys of the tensors that the rule resizes.
  public let keys: KeyPattern
  /// How they are resized.
  public let mode: ResizeMode
  /// The rule as `KEY=MODE`, as it was read.
  public let written: String

  /// A rule that resizes the tensors whose keys match `keys` by `mode`.
  public init(_ keys: KeyPattern, _ mode: ResizeMode) {
    self.init(keys, mode, written: keys.written)
  }

  private init(_ keys: KeyPattern, _ mode: ResizeMode, written: String) {
    self.keys = keys
    self.mode = mode
    self.written = written
  }

  private static let modes: [String: ResizeMode] = [
    "bicubic": .bicubic(prefix: nil, from: nil, to: nil), "channels": .channels, "pad": .pad,
    "pad-zeros": .padWithZeros, "crop": .crop, "reinit": .reinitialize,
  ]

  /// Reads `KEY=MODE`; KEY is a whole key, or a pattern with its kind.
  ///
  /// `pos_embed=bicubic,prefix=1,from=14x14,to=24x12` gives what does not follow from the shapes.
  /// - Throws: ``PatternError`` with the position.
  public init(_ written: String) throws(PatternError) {
    let scalars = Array(written.unicodeScalars)
    func text(_ range: Range<Int>) -> String { String(String.UnicodeScalarView(scalars[range])) }
    // A key may hold equals signs and commas itself: the last sign that a mode stands behind
    // counts.
    let signs = scalars.indices.filter { scalars[$0] == "=" }
    func end(from position: Int) -> Int {
      scalars[position...].firstIndex(of: ",") ?? scalars.count
    }
    guard let sign = signs.last(where: { Self.modes[text($0 + 1..<end(from: $0 + 1))] != nil }),
      var mode = Self.modes[text(sign + 1..<end(from: sign + 1))]
    else {
      let known = Self.modes.keys.sorted().joined(separator: ", ")
      let problem = signs.isEmpty ? "there is no \"=\": write KEY=MODE" : "the modes are \(known)"
      throw PatternError(rename: written, problem, at: signs.last.map { $0 + 1 } ?? scalars.count)
    }
    let head = end(from: sign + 1)
    let key = text(0..<sign)
    let pattern = try KeyPattern(key)
    let hasKind = key != pattern.text
    var position = head + 1
    while position <= scalars.count, head < scalars.count {
      let end = scalars[position...].firstIndex(of: ",") ?? scalars.count
      guard let changed = mode.with(text(position..<end)) else {
        throw PatternError(
          rename: written, "bicubic takes prefix=N, from=HxW and to=HxW, the others nothing",
          at: position)
      }
      mode = changed
      position = end + 1
    }
    self.init(hasKind ? pattern : try KeyPattern(.equals, key), mode, written: written)
  }
}

extension ResizeMode {
  /// The mode with an option set; nil if it has no such option.
  fileprivate func with(_ option: String) -> ResizeMode? {
    guard case .bicubic(let prefix, let from, let to) = self else { return nil }
    let parts = option.split(separator: "=", omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    switch parts[0] {
    case "prefix":
      guard let count = Int(parts[1]), (0...65_536).contains(count) else { return nil }
      return .bicubic(prefix: count, from: from, to: to)
    case "from": return GridSize(parts[1]).map { .bicubic(prefix: prefix, from: $0, to: to) }
    case "to": return GridSize(parts[1]).map { .bicubic(prefix: prefix, from: from, to: $0) }
    default: return nil
    }
  }
}

/// A tensor that cannot be resized, and why.
public enum ResizeError: Diagnostic, Equatable {
  /// A key whose value the mode cannot make fit.
  case impossible(key: String, String)

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .impossible(let key, _): ErrorContext(keys: [key])
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .impossible(let key, let problem): "cannot resize: \(problem) (key \(key))"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    ["docs/state-dicts.md tells what each mode of \(.resize) takes"]
  }
}
