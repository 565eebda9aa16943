public import CkptPatterns
internal import CkptBytes
internal import CkptStateDicts

/// The values of a parameter: by key pattern, and over the layers.
public struct MergeSetting: Sendable {
  /// A value that counts for the keys that match.
  public struct Rule: Sendable {
    /// Which keys; nil for all.
    public let pattern: KeyPattern?
    /// One value, or the values at equal steps from the first layer to the last, between which is interpolated.
    public let values: [Double]

    /// A rule for the keys that match `pattern`.
    public init(pattern: KeyPattern? = nil, values: [Double]) {
      self.pattern = pattern
      self.values = values
    }
  }

  /// Of these the first that matches counts.
  public var rules: [Rule]

  /// The first rule that matches counts.
  public init(_ rules: [Rule]) { self.rules = rules }

  /// The same value everywhere.
  public init(_ value: Double) { rules = [Rule(values: [value])] }

  /// Whether any rule goes over the layers.
  public var hasGradient: Bool { rules.contains { $0.values.count > 1 } }

  /// The value for a key at `t` between the first layer (0) and the last (1); nil if no rule matches.
  func value(
    for key: String, at t: Double, isBoolean: Bool
  ) throws -> Double? {
    for rule in rules {
      if let pattern = rule.pattern, !pattern.matches(key) { continue }
      guard let last = rule.values.indices.last else { continue }
      let scaled = min(max(t, 0), 1) * Double(last)
      let index = Int(saturating: scaled)
      if isBoolean { return rule.values[index] }
      let fraction = scaled - Double(index)
      return (1 - fraction) * rule.values[index] + fraction * rule.values[min(last, index + 1)]
    }
    return nil
  }
}

/// The values of parameters that were given in one place.
public struct MergeSettings: Sendable {
  /// The settings by parameter.
  public var values: [MergeParameter: MergeSetting]

  /// These settings.
  public init(_ values: [MergeParameter: MergeSetting] = [:]) { self.values = values }

  /// The setting of a parameter.
  public subscript(parameter: MergeParameter) -> MergeSetting? {
    get { values[parameter] }
    set { values[parameter] = newValue }
  }
}

/// Finds the value of a parameter for one tensor: first in the input's own settings, then in the common ones.
struct ParameterResolver {
  let method: MergeMethod
  let key: String
  let t: Double
  /// From the ones that count most to the ones that count least.
  let shared: [MergeSettings]
  /// For each input but the base of the methods that need one: its key there, and its settings.
  let inputs: [(key: String, settings: [MergeSettings])]
  /// What was looked up so far, in order; nil where nothing was set.
  let found = Found()

  final class Found {
    fileprivate(set) var values: [Double?] = []
  }

  func value(_ parameter: MergeParameter) throws -> Double? {
    let value = try find(parameter, in: shared, key)
    found.values.append(value)
    return value
  }

  func flag(_ parameter: MergeParameter, default fallback: Bool) throws -> Bool {
    try value(parameter).map { $0 != 0 } ?? fallback
  }

  /// A value for each input.
  func values(_ parameter: MergeParameter, default fallback: Double?) throws -> [Double] {
    try inputs.map { input in
      let value = try find(parameter, in: input.settings + shared, input.key)
      found.values.append(value)
      if let value { return value }
      guard let fallback else {
        throw MergeError.badParameter(
          name: parameter.rawValue, problem: "is needed by \(method.name) (\(input.key))")
      }
      return fallback
    }
  }

  private func find(
    _ parameter: MergeParameter, in settings: [MergeSettings], _ key: String
  ) throws -> Double? {
    for scope in settings {
      if let setting = scope[parameter],
        let value = try setting.value(for: key, at: t, isBoolean: parameter.isBoolean)
      {
        guard value.isFinite else {
          throw MergeError.badParameter(name: parameter.rawValue, problem: "is not finite (\(key))")
        }
        return value
      }
    }
    return nil
  }
}
