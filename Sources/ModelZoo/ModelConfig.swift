/// What a model's `config.json` says of it, as transformers writes one beside the weights.
public struct ModelConfig: Sendable, Hashable {
  /// A value that is no list.
  public enum Value: Sendable, Hashable {
    case number(Double)
    case text(String)
    case flag(Bool)
  }

  /// The file, as people know it.
  public let path: String
  /// The values; those of an object in the object have its name and a dot before theirs.
  public let values: [String: Value]

  /// What a file says.
  public init(path: String, values: [String: Value]) {
    self.path = path
    self.values = values
  }

  /// `model_type`; nil if it is not told.
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

/// Takes what shapes do not tell from the options, from the configuration or from what is usual, and keeps which
/// of these each was.
struct Settings {
  /// Where a value came from.
  enum Origin {
    case given, configured, guessed
  }

  let options: ModelOptions
  let model: String
  /// The configuration, if it is of this model.
  let config: ModelConfig?
  /// The names of what the configuration told.
  private(set) var configured: [String] = []
  /// The names of what nothing told.
  private(set) var guessed: [String] = []
  private(set) var notes: [String] = []

  /// - Parameter types: the `model_type`s of configurations that are this model's.
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

  /// A positive integer: the option of that name, the first of the configuration's fields, or what is usual.
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

  /// The same for any positive number.
  mutating func number(_ name: String, _ fields: [String], usual: Double) throws -> Double {
    if let given = try options.number(name, for: model) { return given }
    if let value = config?.number(fields), value > 0, value.isFinite {
      note(name, .configured)
      return value
    }
    note(name, .guessed)
    return usual
  }

  /// Whether an activation is computed as transformers' `ACT2FN` has it; what is unknown is noted, and `usual`
  /// taken.
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

  /// Notes a field that the model does not have, where it says something else than usual.
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

  /// Puts what was noted into the model.
  func finish(_ model: inout ZooModel) {
    model.configured = configured
    model.guessed = guessed
    model.notes = notes
  }
}
