internal import ModelZoo
internal import CkptPatterns
public import TrainingCore

/// The parameters that are trained and their learning rates, as parameter groups of the optimizer.
public struct ParameterPlan {
  /// Parameters with the same learning rate.
  public struct Group {
    /// The name, to be shown: `backbone`, `head`, a pattern, or a layer.
    public let name: String
    /// The learning rate before any schedule.
    public let learningRate: Double
    /// The keys of the parameters, in the order of the model.
    public internal(set) var keys: [String] = []
    /// The parameters, in the order of the keys.
    public internal(set) var parameters: [Parameter] = []

    /// The number of elements of the parameters.
    public var elementCount: Int { parameters.reduce(0) { $0 + $1.count } }
  }

  /// The groups, of which none is empty; those of the head are the last.
  public let groups: [Group]
  /// The number of the model's frozen parameters, and of their elements.
  public let frozen: (parameters: Int, elements: Int)

  /// Chooses the parameters of a model that are trained, and freezes the others.
  ///
  /// - Throws: ``FineTuningError/noSuchParameter(pattern:what:)`` for a pattern that matches no
  ///   parameter, or no trained one; `PatternError` for an invalid pattern;
  ///   ``FineTuningError/badOption(name:problem:)`` for an invalid rate.
  public init(_ options: FineTuningOptions, of start: StartingModel) throws {
    let module = start.model.module
    let named = module.namedParameters
    let learns: (String) -> Bool
    switch options.train {
    case ["all"]: learns = { _ in true }
    case ["head"]: learns = start.isHead
    default:
      let patterns = try options.train.map { try KeyPattern($0) }
      for pattern in patterns where !named.contains(where: { pattern.matches($0.key) }) {
        throw FineTuningError.noSuchParameter(pattern: pattern.written, what: "to be trained,")
      }
      learns = { key in patterns.contains { $0.matches(key) } }
    }
    let rates = try options.learningRates.map(Self.rate)
    let depths = LayerDepths(named.map(\.key).filter { !start.isHead($0) })
    var groups: [Group] = []
    var backbone: [Group] = []
    var (count, elements) = (0, 0)
    var used = Set<Int>()
    for (key, parameter) in named {
      guard learns(key) else {
        parameter.requiresGrad = false
        parameter.grad = nil
        (count, elements) = (count + 1, elements + parameter.count)
        continue
      }
      parameter.requiresGrad = true
      let name: String
      let rate: Double
      let isHead = start.isHead(key)
      for index in rates.indices where rates[index].pattern.matches(key) { used.insert(index) }
      if let special = rates.last(where: { $0.pattern.matches(key) }) {
        (name, rate) = (special.pattern.written, special.rate)
      } else if isHead {
        (name, rate) = ("head", options.effectiveHeadRate)
      } else if let decay = options.layerDecay {
        let steps = depths.count - depths[key]
        name = depths.name(of: key)
        rate = options.learningRate * (0..<steps).reduce(1) { factor, _ in factor * decay }
      } else {
        (name, rate) = ("backbone", options.learningRate)
      }
      func add(to groups: inout [Group]) {
        let index =
          groups.firstIndex { $0.name == name && $0.learningRate == rate }
          ?? {
            groups.append(Group(name: name, learningRate: rate))
            return groups.count - 1
          }()
        groups[index].keys.append(key)
        groups[index].parameters.append(parameter)
      }
      if isHead { add(to: &groups) } else { add(to: &backbone) }
    }
    for (index, rate) in rates.enumerated() where !used.contains(index) {
      throw FineTuningError.noSuchParameter(
        pattern: rate.pattern.written, what: "the learning rate for")
    }
    self.groups = backbone + groups
    frozen = (count, elements)
  }

  /// Parses `PATTERN=RATE`.
  ///
  /// - Throws: `PatternError`; ``FineTuningError/badOption(name:problem:)``.
  private static func rate(_ written: String) throws -> (pattern: KeyPattern, rate: Double) {
    guard let equals = written.lastIndex(of: "="), equals > written.startIndex,
      let rate = Double(written[written.index(after: equals)...]), rate >= 0, rate.isFinite
    else {
      throw FineTuningError.badOption(
        name: "lr_for", problem: "\"\(written)\" is not written as PATTERN=RATE")
    }
    return (try KeyPattern(String(written[..<equals])), rate)
  }

  /// The number of trained parameters.
  public var trainableCount: Int { groups.reduce(0) { $0 + $1.parameters.count } }
  /// The number of elements of the trained parameters.
  public var trainableElements: Int { groups.reduce(0) { $0 + $1.elementCount } }
}
