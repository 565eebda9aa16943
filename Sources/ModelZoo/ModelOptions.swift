/// Hyperparameters of a model that its state dict's shapes do not determine.
public struct ModelOptions: Sendable, Hashable {
  /// The values as text, by the options' names.
  public var values: [String: String]
  /// The model's configuration; options take precedence over it.
  public var config: ModelConfig?

  /// Creates options with values as text; none by default.
  public init(_ values: [String: String] = [:]) { self.values = values }

  /// The option of all models with a classification head.
  static var classes: (name: String, explanation: String) {
    ("classes", "the number of classes of a new head; the file's head is left out")
  }

  /// The value of an option that is a positive integer; nil if the option is not given.
  ///
  /// - Parameters:
  ///   - name: the option's name.
  ///   - model: the model's name, for the error.
  /// - Throws: `ZooError.badOption` if the value is not a positive integer up to 2²⁴.
  public func count(_ name: String, for model: String) throws -> Int? {
    guard let written = values[name] else { return nil }
    guard let value = Int(written), (1...(1 << 24)).contains(value) else {
      throw ZooError.badOption(
        model: model, option: name, problem: "\"\(written)\" is no positive integer")
    }
    return value
  }

  /// The value of an option that is a positive number; nil if the option is not given.
  ///
  /// - Parameters:
  ///   - name: the option's name.
  ///   - model: the model's name, for the error.
  /// - Throws: `ZooError.badOption` if the value is not a positive number.
  public func number(_ name: String, for model: String) throws -> Double? {
    guard let written = values[name] else { return nil }
    guard let value = Double(written), value > 0, value.isFinite else {
      throw ZooError.badOption(
        model: model, option: name, problem: "\"\(written)\" is no positive number")
    }
    return value
  }
}

/// A reference to a model by name, with options: `resnet18`, `llama:heads=32,rope_theta=500000`.
public struct ModelSpec: Sendable, Hashable {
  /// The name of the model's family.
  public var name: String
  /// The options.
  public var options: ModelOptions

  /// Creates a reference to a family.
  public init(name: String, options: ModelOptions = ModelOptions()) {
    self.name = name
    self.options = options
  }

  /// Parses `NAME` or `NAME:OPTION=VALUE,…`.
  ///
  /// - Throws: `ZooError.badOption` if an option does not have the form OPTION=VALUE.
  public init(_ written: String) throws {
    let parts = written.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    name = parts.first.map(String.init) ?? ""
    options = ModelOptions()
    guard parts.count == 2 else { return }
    for option in parts[1].split(separator: ",", omittingEmptySubsequences: false) {
      let sides = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2, !sides[0].isEmpty, !sides[1].isEmpty else {
        throw ZooError.badOption(
          model: name, option: String(option), problem: "is not written as OPTION=VALUE")
      }
      options.values[String(sides[0])] = String(sides[1])
    }
  }
}
