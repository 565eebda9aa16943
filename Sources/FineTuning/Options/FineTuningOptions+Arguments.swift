public import CkptStateDicts

extension FineTuningOptions {
  /// An option as it is saved: its name, and its conversion to and from plain data.
  struct Field: Sendable {
    typealias Path<Value> = WritableKeyPath<FineTuningOptions, Value> & Sendable

    let name: String
    let value: @Sendable (FineTuningOptions) -> PlainValue
    /// Sets the option from a saved value; returns false if the value has another type or is
    /// invalid.
    let set: @Sendable (inout FineTuningOptions, PlainValue) -> Bool
  }

  /// All options, in the order in which they are saved.
  static let fields: [Field] = [
    .text("data", \.data), .text("model", \.model), .optionalText("weights", \.weights),
    .optionalText("head", \.head), .optionalNumber("val", \.validationShare),
    .texts("train", \.train), .number("lr", \.learningRate),
    .optionalNumber("head_lr", \.headLearningRate), .texts("lr_for", \.learningRates),
    .optionalNumber("layer_decay", \.layerDecay), .name("optimizer", \.optimizer),
    .number("momentum", \.momentum), .number("weight_decay", \.weightDecay),
    .flag("train_batchnorm", \.trainsBatchNorm), .optionalNumber("dropout", \.dropout),
    Field(
      name: "schedule", value: { .string($0.schedule.description) },
      set: { options, value in
        guard let schedule = value.string.flatMap({ try? Schedule($0) }) else { return false }
        options.schedule = schedule
        return true
      }),
    .integer("warmup", \.warmup), .integer("epochs", \.epochs),
    .integer("batch_size", \.batchSize), .integer("accumulate", \.accumulate),
    Field(
      name: "seed", value: { .int(Int(clamping: $0.seed)) },
      set: { options, value in
        guard let seed = value.int, seed >= 0 else { return false }
        options.seed = UInt64(seed)
        return true
      }),
    .optionalNumber("max_time", \.maxTime), .optionalInteger("patience", \.patience),
    .integer("size", \.size), .integer("resize", \.resize), .name("augment", \.augment),
    .numbers("mean", \.mean), .numbers("std", \.standardDeviation), .number("mixup", \.mixup),
    .number("erase", \.erase), .flag("exif", \.exif), .name("sampler", \.sampler),
    .flag("skip_bad", \.skipsBad), .number("label_smoothing", \.labelSmoothing),
    .flag("balance_classes", \.balancesClasses), .optionalNumber("clip_norm", \.clipNorm),
    .optionalNumber("ema", \.ema),
  ]

  /// The options as they are saved in a checkpoint: a dict of names and values.
  public var arguments: PlainValue {
    .dict(Self.fields.map { (.string($0.name), $0.value(self)) })
  }

  /// Reads options that were saved.
  ///
  /// - Parameters:
  ///   - arguments: a dict of names and values; a missing option has its default.
  ///   - file: the path of the file that they are from, for the error.
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` for an unknown name, a value of
  ///   another type, and as ``check()``.
  public init(arguments: PlainValue, from file: String) throws {
    self.init()
    guard case .dict(let entries) = arguments else {
      throw FineTuningError.notFineTuned(file: file, problem: "its arguments are no dict")
    }
    for (key, value) in entries {
      guard let name = key.string, let field = Self.fields.first(where: { $0.name == name })
      else {
        throw FineTuningError.notFineTuned(
          file: file, problem: "its arguments have \(key.string ?? "a key") that is no option")
      }
      guard field.set(&self, value) else {
        throw FineTuningError.notFineTuned(
          file: file, problem: "its argument \(name) has a value of another kind")
      }
    }
    do {
      try check()
    } catch let error as FineTuningError {
      throw FineTuningError.notFineTuned(file: file, problem: error.description)
    }
  }

  /// The names of the options whose values differ from those in `other`.
  public func differences(from other: FineTuningOptions) -> [String] {
    Self.fields.filter { field in
      var copy = self
      return !field.set(&copy, field.value(other)) || copy != self
    }.map(\.name)
  }
}

// MARK: - Kinds of values

extension FineTuningOptions.Field {
  /// An option that `wrap` converts to plain data, and `unwrap` from it.
  private static func some<Value>(
    _ name: String, _ path: any Path<Value>, _ wrap: @escaping @Sendable (Value) -> PlainValue,
    _ unwrap: @escaping @Sendable (PlainValue) -> Value?
  ) -> Self {
    Self(
      name: name, value: { wrap($0[keyPath: path]) },
      set: { options, value in
        guard let value = unwrap(value) else { return false }
        options[keyPath: path] = value
        return true
      })
  }

  /// An option that may be nil, which is saved as None.
  private static func optional<Value>(
    _ name: String, _ path: any Path<Value?>, _ wrap: @escaping @Sendable (Value) -> PlainValue,
    _ unwrap: @escaping @Sendable (PlainValue) -> Value?
  ) -> Self {
    some(name, path, { $0.map(wrap) ?? .none }) { value in
      if case .none = value { return .some(.none) }
      return unwrap(value).map(Optional.some)
    }
  }

  static func text(_ name: String, _ path: any Path<String>) -> Self {
    some(name, path, PlainValue.string, \.string)
  }

  static func optionalText(_ name: String, _ path: any Path<String?>) -> Self {
    optional(name, path, PlainValue.string, \.string)
  }

  static func number(_ name: String, _ path: any Path<Double>) -> Self {
    some(name, path, PlainValue.float, \.number)
  }

  static func optionalNumber(_ name: String, _ path: any Path<Double?>) -> Self {
    optional(name, path, PlainValue.float, \.number)
  }

  static func integer(_ name: String, _ path: any Path<Int>) -> Self {
    some(name, path, PlainValue.int, \.int)
  }

  static func optionalInteger(_ name: String, _ path: any Path<Int?>) -> Self {
    optional(name, path, PlainValue.int, \.int)
  }

  static func flag(_ name: String, _ path: any Path<Bool>) -> Self {
    some(name, path, PlainValue.bool, \.bool)
  }

  static func name<Value: RawRepresentable<String> & Sendable>(
    _ name: String, _ path: any Path<Value>
  ) -> Self {
    some(name, path, { .string($0.rawValue) }, { $0.string.flatMap(Value.init(rawValue:)) })
  }

  static func texts(_ name: String, _ path: any Path<[String]>) -> Self {
    list(name, path, PlainValue.string, \.string)
  }

  static func numbers(_ name: String, _ path: any Path<[Double]>) -> Self {
    list(name, path, PlainValue.float, \.number)
  }

  private static func list<Value>(
    _ name: String, _ path: any Path<[Value]>, _ wrap: @escaping @Sendable (Value) -> PlainValue,
    _ unwrap: @escaping @Sendable (PlainValue) -> Value?
  ) -> Self {
    some(name, path, { .list($0.map(wrap)) }) { value in
      guard let items = value.items else { return nil }
      let values = items.compactMap(unwrap)
      return values.count == items.count ? values : nil
    }
  }
}
