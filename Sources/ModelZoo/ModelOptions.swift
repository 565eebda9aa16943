/// What is told about a model beyond what its tensors' shapes say.
public struct ModelOptions: Sendable, Hashable {
  /// The values, as they were written.
  public var values: [String: String]

  /// Nothing is told unless given.
  public init(_ values: [String: String] = [:]) { self.values = values }

  /// The option that all models with a head of classes have.
  static var classes: (name: String, explanation: String) {
    ("classes", "so many classes of a new head; the file's head is left out")
  }

  /// A positive integer; nil if it is not told.
  ///
  /// - Throws: `ZooError.badOption` if it is something else.
  public func count(_ name: String, for model: String) throws -> Int? {
    guard let written = values[name] else { return nil }
    guard let value = Int(written), (1...(1 << 24)).contains(value) else {
      throw ZooError.badOption(
        model: model, option: name, problem: "\"\(written)\" is no positive integer")
    }
    return value
  }

  /// A positive number; nil if it is not told.
  ///
  /// - Throws: `ZooError.badOption` if it is something else.
  public func number(_ name: String, for model: String) throws -> Double? {
    guard let written = values[name] else { return nil }
    guard let value = Double(written), value > 0, value.isFinite else {
      throw ZooError.badOption(
        model: model, option: name, problem: "\"\(written)\" is no positive number")
    }
    return value
  }
}

/// A model as it is asked for: `resnet18`, `llama:heads=32,rope_theta=500000`.
public struct ModelSpec: Sendable, Hashable {
  /// The model's name.
  public var name: String
  /// What is told about it.
  public var options: ModelOptions

  /// The model of a name.
  public init(name: String, options: ModelOptions = ModelOptions()) {
    self.name = name
    self.options = options
  }

  /// Reads `NAME` or `NAME:OPTION=VALUE,…`.
  ///
  /// - Throws: `ZooError.badOption` for options that are not so written.
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
