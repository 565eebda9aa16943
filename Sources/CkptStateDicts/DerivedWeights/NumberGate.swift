internal import CkptText
public import CkptPlatform
internal import CkptTensors

/// An operation that would compute with parts of weights as if they were weights.
public enum DerivedWeightError: Diagnostic, Equatable {
  /// An operation that computes met parts of weights: what it was to do, with which input, and the
  /// weights.
  case noNumbers(operation: String, input: String, [DerivedWeight])
  /// Some parts of weights would be replaced and others not.
  case splits([DerivedWeight])
  /// No plain weight can be computed from the parts; each says why.
  case cannotFold([DerivedWeight])

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .badInput }

  /// The weights that are stored in parts.
  public var weights: [DerivedWeight] {
    switch self {
    case .noNumbers(_, _, let all), .splits(let all), .cannotFold(let all): all
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    ErrorContext(keys: weights.map(\.key))
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .noNumbers(let operation, let input, let all):
      "cannot \(operation) parts of weights as if they were weights: " + Self.list(all, \.summary)
        + (input.isEmpty ? "" : " (\(input))")
    case .splits(let all):
      "only a part of what these weights are computed from would be replaced: "
        + Self.list(all, \.summary)
    case .cannotFold(let all):
      "no plain weight can be computed: " + Self.list(all) { "\($0.summary): \($0.obstacle ?? "")" }
    }
  }

  private static func list(_ all: [DerivedWeight], _ text: (DerivedWeight) -> String) -> String {
    let shown = 16
    return all.prefix(shown).map(text).joined(separator: "; ")
      + (all.count > shown ? "; and \(all.count - shown) more" : "")
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .noNumbers(_, _, let all), .splits(let all):
      all.contains { $0.kind == .quantized }
        ? [
          "no command makes plain weights of codes and scales yet; copied or left out together they stay right"
        ]
        : ["\(.fold) makes plain weights of them"]
    case .cannotFold: ["\(.exclude) leaves a weight as it is"]
    }
  }
}

/// The one gate before arithmetic on a state dict's tensors: it knows which of them are weights and
/// which are parts of weights. Every operation that computes new values asks it.
package struct NumberGate: Sendable {
  private let weights: [DerivedWeight]
  private let byPart: [ExactText: Int]

  /// The gate of a state dict.
  package init(_ stateDict: StateDict) {
    weights = stateDict.derivedWeights
    var byPart: [ExactText: Int] = [:]
    for (number, weight) in weights.enumerated() {
      for part in weight.parts { byPart[ExactText(part)] = number }
    }
    self.byPart = byPart
  }

  /// The weight that a key holds a part of; nil for an ordinary tensor.
  package func weight(of key: String) -> DerivedWeight? {
    byPart[ExactText(key)].map { weights[$0] }
  }

  /// The weight in parts that would have that key if it were plain.
  package func weight(computing key: String) -> DerivedWeight? {
    weights.first { $0.key.isExactly(key) }
  }

  /// The keys that the weights in parts would have if they were plain.
  package var plainKeys: [String] { weights.map(\.key) }

  /// The weights of which some of the keys are parts, each once.
  package func weights(of keys: some Sequence<String>) -> [DerivedWeight] {
    var numbers = Set<Int>()
    for key in keys { if let number = byPart[ExactText(key)] { numbers.insert(number) } }
    return numbers.sorted().map { weights[$0] }
  }

  /// The weights of which some parts are among the keys and others not.
  package func weightsSplit(by keys: some Sequence<String>) -> [DerivedWeight] {
    let keys = Set(keys.map(ExactText.init))
    return weights.filter { weight in
      let count = weight.parts.count { keys.contains(ExactText($0)) }
      return count > 0 && count < weight.parts.count
    }
  }

  /// Checks that the elements of tensors may be rounded separately: they are not codes or their
  /// scales.
  ///
  /// - Throws: `DerivedWeightError.noNumbers`; see ``check(_:operation:input:)``.
  package func checkCodes(
    _ keys: some Sequence<String>, operation: String, input: String = ""
  ) throws(DerivedWeightError) {
    let codes = weights(of: keys).filter { $0.kind == .quantized }
    guard codes.isEmpty else { throw .noNumbers(operation: operation, input: input, codes) }
  }

  /// Checks that an operation may compute with tensors.
  ///
  /// - Parameters:
  ///   - keys: the keys of the tensors from which new values are computed.
  ///   - operation: the operation as an infinitive, such as "merge", for the error.
  ///   - input: the name of the state dict, such as its file, for the error.
  /// - Returns: the weights whose parts are learned, which may be averaged separately, like
  ///   PyTorch's averaging of a model's parameters; the caller should report them.
  /// - Throws: `DerivedWeightError.noNumbers` with the other weights that the keys are parts of.
  @discardableResult
  package func check(
    _ keys: some Sequence<String>, operation: String, input: String = ""
  ) throws(DerivedWeightError) -> [DerivedWeight] {
    let met = weights(of: keys)
    let refused = met.filter { !$0.isLearnedPartwise }
    guard refused.isEmpty else {
      throw .noNumbers(operation: operation, input: input, refused)
    }
    return met
  }
}
