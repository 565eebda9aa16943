/// The contents of a model's `config.json`, which transformers writes beside the weights.
public struct ModelConfig: Sendable, Hashable {
  /// A value other than a list.
  public enum Value: Sendable, Hashable {
    case number(Double)
    case text(String)
    case flag(Bool)
  }

  /// The path of the file, for messages.
  public let path: String
  /// The values by name; names in nested objects are joined by dots.
  public let values: [String: Value]

  /// Creates a configuration from its values.
  public init(path: String, values: [String: Value]) {
    self.path = path
    self.values = values
  }

  /// The value of `model_type`; nil if there is none.
  public var modelType: String? {
    if case .text(let text)? = values["model_type"] { text } else { nil }
  }

  func number(_ names: [String]) -> Double? {
    for name in names { if case .number(let number)? = values[name] { return number } }
    return nil
  }

  func text(_ names: [String]) -> String? {
    for name in names { if case .text(let text)? = values[name] { return text } }
    return nil
  }
}

/// Determines hyperparameters that shapes do not determine, from the options, the configuration, or
/// usual values, and records the source of each.
struct Settings {
  /// The source of a value.
  enum Origin {
    case given, configured, guessed
  }

  let options: ModelOptions
  let model: String
  /// The configuration; nil if it is missing or of a different model.
  let config: ModelConfig?
  /// The names of hyperparameters from the configuration.
  private(set) var configured: [String] = []
  /// The names of hyperparameters with usual values.
  private(set) var guessed: [String] = []
  private(set) var notes: [String] = []

  /// Creates settings without any values.
  ///
  /// - Parameters:
  ///   - options: the options, with the configuration.
  ///   - model: the model's name, for errors.
  ///   - types: the values of `model_type` for this model.
  init(_ options: ModelOptions, for model: String, types: [String]) {
    self.options = options
    self.model = model
    let found = options.config
    if let found, let type = found.modelType, !types.contains(type) {
      notes.append("\(found.path) is of the model type \(type), not of \(model), and is not used")
      config = nil
    } else {
      config = found
    }
  }

  private mutating func note(_ name: String, _ origin: Origin) {
    switch origin {
    case .given: break
    case .configured: configured.append(name)
    case .guessed: guessed.append(name)
    }
  }

  /// A positive integer from the option `name`, from the first of the configuration's `fields` that
  /// exists, or `usual`.
  mutating func count(_ name: String, _ fields: [String], usual: Int) throws -> Int {
    if let given = try options.count(name, for: model) { return given }
    if let number = config?.number(fields), let value = Int(exactly: number),
      (1...(1 << 24)).contains(value)
    {
      note(name, .configured)
      return value
    }
    note(name, .guessed)
    return usual
  }

  /// A positive number from the option `name`, from the first of the configuration's `fields` that
  /// exists, or `usual`.
  mutating func number(_ name: String, _ fields: [String], usual: Double) throws -> Double {
    if let given = try options.number(name, for: model) { return given }
    if let value = config?.number(fields), value > 0, value.isFinite {
      note(name, .configured)
      return value
    }
    note(name, .guessed)
    return usual
  }

  /// The activation with a name of transformers' `ACT2FN`; for unknown names, a note is added and
  /// `usual` is returned.
  mutating func activation(_ fields: [String], usual: ModelActivation) -> ModelActivation {
    guard let text = config?.text(fields) else {
      note("activation", .guessed)
      return usual
    }
    guard let known = ModelActivation(transformersName: text) else {
      notes.append("the activation \(text) is not known; \(usual.rawValue) is run in its place")
      note("activation", .guessed)
      return usual
    }
    note("activation", .configured)
    return known
  }

  /// Adds a note if a configuration field that the model does not support has an unusual value.
  mutating func warn(_ field: String, unless usual: [ModelConfig.Value]) {
    guard let value = config?.values[field], !usual.contains(value) else { return }
    let text =
      switch value {
      case .number(let number): "\(number)"
      case .text(let text): text
      case .flag(let flag): "\(flag)"
      }
    notes.append(
      "\(field) is \(text) in the configuration, which the model that is run does not have")
  }

  /// Adds the records and notes to the model.
  func finish(_ model: inout ZooModel) {
    model.configured = configured
    model.guessed = guessed
    model.notes = notes
  }
}
