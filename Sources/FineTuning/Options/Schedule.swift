/// A schedule of the learning rates.
public enum Schedule: Sendable, Hashable, CustomStringConvertible {
  /// The rates do not change.
  case constant
  /// The rates are multiplied by `gamma` every `size` epochs.
  case step(size: Int, gamma: Double)
  /// The rates fall to 0 along half a cosine, epoch by epoch.
  case cosine
  /// The rates rise from 1/25 of their values and fall to nearly 0, step by step (Smith and Topin,
  /// arXiv:1708.07120).
  case oneCycle

  /// Parses `constant`, `step:N,GAMMA`, `step:N`, `cosine` or `onecycle`.
  ///
  /// - Throws: ``FineTuningError/badOption(name:problem:)`` for any other text.
  public init(_ written: String) throws {
    switch written {
    case "constant": self = .constant
    case "cosine": self = .cosine
    case "onecycle": self = .oneCycle
    default:
      let parts = written.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let numbers = (parts.count == 2 ? parts[1] : "").split(
        separator: ",", omittingEmptySubsequences: false)
      guard parts.first == "step", (1...2).contains(numbers.count), let size = Int(numbers[0]),
        (1...1_000_000).contains(size),
        let gamma = numbers.count == 2 ? Double(numbers[1]) : 0.1, gamma > 0, gamma <= 1
      else {
        throw FineTuningError.badOption(
          name: "schedule",
          problem: "\"\(written)\" is none of constant, step:N,GAMMA, cosine, onecycle")
      }
      self = .step(size: size, gamma: gamma)
    }
  }

  /// The schedule as ``init(_:)`` parses it.
  public var description: String {
    switch self {
    case .constant: "constant"
    case .step(let size, let gamma): "step:\(size),\(gamma)"
    case .cosine: "cosine"
    case .oneCycle: "onecycle"
    }
  }

  /// Whether the rates of an epoch depend on the number of all epochs.
  var dependsOnLength: Bool {
    switch self {
    case .constant, .step: false
    case .cosine, .oneCycle: true
    }
  }
}
