public import CkptPatterns
internal import CkptBytes
internal import CkptStateDicts

/// The values of one parameter, which may depend on the key and on the layer.
public struct MergeSetting: Sendable {
  /// A value for the keys that match a pattern.
  public struct Rule: Sendable {
    /// The pattern that keys must match; nil matches all keys.
    public let pattern: KeyPattern?
    /// One value, or several at equal steps from the first layer to the last, which are
    /// interpolated linearly.
    public let values: [Double]

    /// Creates a rule for the keys that match `pattern`; nil matches all keys.
    public init(pattern: KeyPattern? = nil, values: [Double]) {
      self.pattern = pattern
      self.values = values
    }
  }

  /// The rules; the first that matches a key applies.
  public var rules: [Rule]

  /// Creates a setting from rules; the first that matches a key applies.
  public init(_ rules: [Rule]) { self.rules = rules }

  /// Creates a setting with the same value for all keys.
  public init(_ value: Double) { rules = [Rule(values: [value])] }

  /// Whether any rule has values that are interpolated over the layers.
  public var hasGradient: Bool { rules.contains { $0.values.count > 1 } }

  /// The value for a key; nil if no rule matches.
  ///
  /// - Parameters:
  ///   - t: the relative position of the key's layer, from 0 (first) to 1 (last).
  ///   - isBoolean: whether values are Booleans, which are not interpolated.
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

/// A set of parameter settings, such as those of one input.
public struct MergeSettings: Sendable {
  /// The settings by parameter.
  public var values: [MergeParameter: MergeSetting]

  /// Creates a set from settings by parameter.
  public init(_ values: [MergeParameter: MergeSetting] = [:]) { self.values = values }

  /// The setting of a parameter; nil if it is not set.
  public subscript(parameter: MergeParameter) -> MergeSetting? {
    get { values[parameter] }
    set { values[parameter] = newValue }
  }
}

/// Looks up parameter values for one tensor: first in the input's own settings, then in the shared
/// ones.
struct ParameterResolver {
  let method: MergeMethod
  let key: String
  let t: Double
  /// The shared settings, highest precedence first.
  let shared: [MergeSettings]
  /// For each input except the base of methods that need one: the key in that input, and its
  /// settings.
  let inputs: [(key: String, settings: [MergeSettings])]
  /// All values looked up so far, in order; nil where a parameter was not set.
  let found = Found()

  /// A list of looked-up values that is shared by copies of the resolver.
  final class Found {
    fileprivate(set) var values: [Double?] = []
  }

  /// The value of a shared parameter; nil if it is not set.
  ///
  /// - Throws: `MergeError.badParameter` if it is not finite.
  func value(_ parameter: MergeParameter) throws -> Double? {
    let value = try find(parameter, in: shared, key)
    found.values.append(value)
    return value
  }

  /// The value of a Boolean parameter, or `fallback` if it is not set.
  func flag(_ parameter: MergeParameter, default fallback: Bool) throws -> Bool {
    try value(parameter).map { $0 != 0 } ?? fallback
  }

  /// A value for each input.
  ///
  /// - Throws: `MergeError.badParameter` if one is not finite, or is not set and has no default.
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

  /// The first value for `key` in `settings`, which are in order of precedence.
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
