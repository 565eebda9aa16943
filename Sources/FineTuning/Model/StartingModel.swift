internal import CkptTensors
internal import CkptText
internal import CkptPlatform
public import CkptStateDicts
public import ModelZoo
internal import TrainingCore

/// The model with which a fine-tuning begins: the weights of a checkpoint in its backbone, and a
/// head for the classes of the images.
public struct StartingModel {
  /// Where the head comes from.
  public enum Head: Sendable, Hashable {
    /// The head has new random weights.
    case new
    /// The head is that of the checkpoint, because it was trained on the same classes or because
    /// this was requested.
    case kept
  }

  /// The model.
  public let model: ZooModel
  /// The keys of the head's modules.
  public let head: [String]
  /// Where the head comes from.
  public let headSource: Head
  /// The keys that were loaded, and those that were not; nil if training begins from scratch.
  public let report: LoadReport?
  /// The keys of parameters and buffers that were not loaded: those of a new head, and those that
  /// the checkpoint lacks.
  public let newKeys: [String]
  /// The number of the backbone's elements that were loaded, and of all its elements.
  public let backboneElements: (loaded: Int, all: Int)

  /// The share of the backbone's elements that were loaded, from 0 to 1.
  public var backboneShare: Double {
    backboneElements.all > 0 ? Double(backboneElements.loaded) / Double(backboneElements.all) : 1
  }

  /// Whether a key belongs to the head.
  public func isHead(_ key: String) -> Bool { Self.isHead(key, of: head) }

  static func isHead(_ key: String, of head: [String]) -> Bool {
    head.contains { key.isExactly($0) || key.hasPrefix($0 + ".") }
  }

  /// Builds a model for the given classes and loads weights into it.
  ///
  /// - Parameters:
  ///   - options: the model, its head, its dropout, and the seed of new weights.
  ///   - classes: the names of the classes.
  ///   - weights: the state dict, with the keys of the model; nil to train from scratch.
  ///   - source: the name of the weights in errors, such as the path of their file.
  ///   - weightsClasses: the names of the classes that the weights were trained on, if known.
  ///   - keepsHead: whether the head is loaded, too, though its classes may be others.
  ///   - minimumLoaded: the minimum share of the backbone's elements that must be loaded, from 0 to
  ///     1.
  ///   - zoo: the known models.
  /// - Throws: ``FineTuningError``, `ZooError` or `DescriptionError` if the model cannot be built
  ///   for these classes, too little of it can be loaded, or the head cannot be kept; `FileError`
  ///   or `TrainingError` if the weights cannot be loaded.
  public init(
    _ options: FineTuningOptions, classes: [String], weights: StateDict?,
    source: String = "the weights", weightsClasses: [String]? = nil, keepsHead: Bool = false,
    minimumLoaded: Double = 0.5, in zoo: ModelZoo = .standard
  ) throws {
    var spec = try ModelSpec(options.model)
    let zoo = try zoo.including(spec)
    let family = try zoo.family(spec.name)
    if let written = spec.options.values["classes"], Int(written) != classes.count {
      throw FineTuningError.classCount(
        model: spec.name, expected: Int(written) ?? 0, found: classes.count)
    }
    if family.options.contains(where: { $0.name == "classes" }) {
      spec.options.values["classes"] = "\(classes.count)"
    }
    let random = RandomSource(seed: options.seed)
    let built = try zoo.reference(spec, for: weights ?? StateDict(), from: random).model
    try Self.check(built, classes: classes.count)
    head = try Self.head(of: built, options.head)
    let (head, module) = (head, built.module)
    if let dropout = options.dropout, try module.setDropout(dropout) == 0 {
      throw FineTuningError.badOption(
        name: "dropout", problem: "the model \(built.name) has no dropout layers")
    }
    module.useRandomSource(RandomSource(seed: options.seed &+ 1))

    let own = try module.stateDict()
    let backboneKeys = own.keys.filter { !Self.isHead($0, of: head) }
    func elements(_ keys: [String]) -> Int { keys.reduce(0) { $0 + (own[$1]?.elementCount ?? 0) } }
    guard let weights else {
      (model, headSource, report) = (built, .new, nil)
      newKeys = own.keys
      backboneElements = (0, elements(backboneKeys))
      return
    }
    let isSame = weightsClasses.map { $0 == classes } ?? false
    let headKeys = own.keys.filter { Self.isHead($0, of: head) }
    let headFits = headKeys.allSatisfy { weights[$0]?.shape == own[$0]?.shape }
    if keepsHead, !headFits {
      let key = headKeys.first { weights[$0]?.shape != own[$0]?.shape } ?? ""
      throw FineTuningError.cannotKeepHead(
        source: source,
        problem: weights[key].map {
          "\(key) has the shape \($0.shape) for \(own[key]?.shape ?? [])"
        } ?? "\(key) is missing")
    }
    let keeps = keepsHead || isSame && headFits
    let chosen = keeps ? weights : weights.filter { key, _ in !Self.isHead(key, of: head) }
    let loadReport = try chosen.validate(against: own, strict: false)
    let loaded = Set(loadReport.loaded)
    let found = elements(backboneKeys.filter(loaded.contains))
    let all = elements(backboneKeys)
    let share = all > 0 ? Double(found) / Double(all) : 1
    guard share >= minimumLoaded else {
      throw FineTuningError.notEnoughLoaded(
        source: source, share: share, minimum: minimumLoaded,
        missing: backboneKeys.filter { !loaded.contains($0) })
    }
    try module.load(chosen, strict: false)
    model = built
    headSource = keeps ? .kept : .new
    report = loadReport
    newKeys = own.keys.filter { !loaded.contains($0) }
    backboneElements = (found, all)
  }

  /// Checks that a model classifies images of three channels into the given number of classes.
  ///
  /// - Throws: ``FineTuningError/notAnImageClassifier(model:problem:)`` or
  ///   ``FineTuningError/classCount(model:expected:found:)`` if it does not.
  static func check(_ model: ZooModel, classes: Int) throws {
    switch model.input {
    case .images(channels: 3, size: _): break
    case .images(let channels, _):
      throw FineTuningError.notAnImageClassifier(
        model: model.name, problem: "it takes images of \(channels) channels, and files give three")
    case .numbers(let shape) where shape.count == 3 && shape[0] == 3: break
    default:
      throw FineTuningError.notAnImageClassifier(
        model: model.name, problem: "it takes no images")
    }
    switch model.objective {
    case .classes(classes): break
    case .classes(let count):
      throw FineTuningError.classCount(model: model.name, expected: count, found: classes)
    case .numbers:
      throw FineTuningError.notAnImageClassifier(
        model: model.name, problem: "it gives numbers, not classes")
    }
  }

  /// The keys of the modules in a model's head: `named`, or those in the model's description.
  ///
  /// - Throws: ``FineTuningError/unknownHead(model:head:)`` if neither is known, or there is no
  ///   such module.
  private static func head(of model: ZooModel, _ named: String?) throws -> [String] {
    let keys = model.module.namedParameters.map(\.key)
    guard let named else {
      guard !model.head.isEmpty else {
        throw FineTuningError.unknownHead(model: model.name, head: nil)
      }
      return model.head
    }
    guard keys.contains(where: { isHead($0, of: [named]) }) else {
      throw FineTuningError.unknownHead(model: model.name, head: named)
    }
    return [named]
  }
}
