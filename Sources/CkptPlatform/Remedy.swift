/// What a caller can do about an error: a sentence, in which actions are named as values.
///
/// `"\(.replaceExisting) replaces it"` is a remedy. A library's user reads the action as a parameter or a
/// method (``description``); a tool with options of its own writes their names in its place, by ``text(naming:)``.
public struct Remedy: Sendable, Hashable, CustomStringConvertible {
  /// Something that a caller can ask for.
  public enum Action: Sendable, Hashable {
    /// Replaces an output that exists.
    case replaceExisting
    /// Writes the state dict alone.
    case extract
    /// Filters, and writes the state dict alone.
    case filterAndExtract
    /// Leaves keys out, or as they are.
    case exclude
    /// Leaves keys out while a file is filtered or converted.
    case excludeInEdit
    /// Chooses keys by what to include and to exclude.
    case select
    /// Converts tensors to an element type, such as `float32`; nil for any.
    case convert(to: String?)
    /// Converts a file's tensors to an element type, as an operation of its own.
    case convertFile
    /// Leaves keys out of a conversion.
    case excludeFromCast
    /// Writes elements that are held in blocks of a few bits as 32-bit floats.
    case dequantize
    /// Leaves out what a format cannot hold.
    case dropObjects
    /// Writes tensors that share elements in the way of a `TiePolicy`, such as `copy`.
    case ties(String)
    /// Puts plain values in the place of objects such as arrays.
    case makePlain
    /// Names the place of a state dict or an object in a file; nil for any.
    case path(String?)
    /// Lets the optimizer's state at a path follow the keys.
    case followOptimizer(path: String)
    /// Leaves optimizers' states as they are.
    case keepOptimizers
    /// Says by a file what an optimizer's parameters are called.
    case nameParameters
    /// Takes keys that a base lacks.
    case allowNew
    /// Keeps a base's values where shapes differ.
    case skipMismatched
    /// Makes values of another shape fit.
    case resize
    /// Merges what holds NaN, or writes it.
    case keepNaN
    /// Keeps the first input's values where they cannot be merged.
    case keepUnmergeable
    /// Says by how much an adapter's products count.
    case scale
    /// Names the module that holds a model's layers.
    case nameLayers
    /// Gives a model a head of N classes.
    case newHead(model: String)
    /// Takes a prefix away from keys.
    case stripPrefix(String)
    /// Lists a file's keys and element types.
    case listKeys
    /// Prints the objects in a file.
    case showObjects
    /// Prints the recipes that come with the library.
    case printRecipes
    /// Gives keys other names.
    case renameKeys
    /// Makes plain weights of those that are held in parts.
    case fold
    /// Writes a checkpoint as several files.
    case shard
    /// Makes an index of the shards that are there.
    case rebuildIndex
    /// Names the models whose keys fit a file.
    case nameModels
    /// Tells what a model lacks of a file's keys, and what they could be called.
    case checkAgainstModel
    /// Splits validation images off.
    case splitValidation
    /// Leaves out images that cannot be read or split.
    case skipBadImages
    /// Names a model's head.
    case nameHead
    /// Lets less of a backbone be loaded.
    case lowerMinimumLoaded

    /// What a user of the library knows it by.
    public var description: String {
      switch self {
      case .replaceExisting: "replacingExisting: true"
      case .extract, .filterAndExtract: "Checkpoint.extract(at:)"
      case .exclude, .excludeInEdit: "KeySelection.exclude"
      case .select: "a KeySelection's include and exclude"
      case .convert(let type): "StateDict.converting(to: \(type.map { "." + $0 } ?? "…"))"
      case .convertFile: "StateDict.converting(to:)"
      case .excludeFromCast: "the closure of StateDict.converting(to:)"
      case .dequantize: "WriteOptions.dequantizes"
      case .dropObjects: "WriteOptions.dropsObjects"
      case .ties(let policy): "the tie policy \(policy)"
      case .makePlain: "Checkpoint.makePlain()"
      case .path(let path): path.map { "at: \"\($0)\"" } ?? "at:"
      case .followOptimizer(let path): "Checkpoint.letOptimizer(at: \"\(path)\")"
      case .keepOptimizers: "not to ask"
      case .nameParameters: "a ParameterNameSource"
      case .allowNew: "allowNew: true"
      case .skipMismatched: "skipMismatched: true"
      case .resize: "a ResizeRule"
      case .keepNaN: "keepsNaN"
      case .keepUnmergeable: "keepsUnmergeable"
      case .scale: "scale:"
      case .nameLayers: "the layers' module"
      case .newHead(let model): "the model \(model):classes=N"
      case .stripPrefix(let prefix): "KeyRename.stripPrefix(\"\(prefix)\")"
      case .listKeys: "StateDict.keys"
      case .showObjects: "Checkpoint.value(at:)"
      case .printRecipes: "RecipeBook"
      case .renameKeys: "StateDict.renamingKeys(_:)"
      case .fold: "StateDict.folding(_:)"
      case .shard: "a sharded output"
      case .rebuildIndex: "ShardIndex"
      case .nameModels: "ModelZoo.matches(_:)"
      case .checkAgainstModel: "StateDict.suggestedRenames(toFit:)"
      case .splitValidation: "TrainingImages(_:share:)"
      case .skipBadImages: "FineTuningOptions.skipsBad"
      case .nameHead: "FineTuningOptions.head"
      case .lowerMinimumLoaded: "a lower minimum"
      }
    }
  }

  fileprivate enum Part: Sendable, Hashable {
    case text(String)
    case action(Action)
  }

  fileprivate var parts: [Part]

  /// The actions that it names, in order.
  public var actions: [Action] {
    parts.compactMap { if case .action(let action) = $0 { action } else { nil } }
  }

  /// The sentence, with each action under the name that `name` gives it.
  public func text(naming name: (Action) -> String) -> String {
    parts.map {
      switch $0 {
      case .text(let text): text
      case .action(let action): name(action)
      }
    }.joined()
  }

  /// The sentence in the library's terms.
  public var description: String { text(naming: \.description) }
}

extension Remedy: ExpressibleByStringInterpolation {
  /// A sentence that names no action.
  public init(_ text: String) { parts = [.text(text)] }

  /// A sentence that names no action.
  public init(stringLiteral text: String) { self.init(text) }

  /// A sentence with actions in it.
  public init(stringInterpolation: StringInterpolation) { parts = stringInterpolation.parts }

  /// The parts of a sentence while it is put together.
  public struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var parts: [Part] = []

    /// Nothing yet.
    public init(literalCapacity: Int, interpolationCount: Int) {}

    /// Goes on with a text.
    public mutating func appendLiteral(_ text: String) { parts.append(.text(text)) }

    /// Goes on with a value's text.
    public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
      parts.append(.text(value.description))
    }

    /// Goes on with an action's name.
    public mutating func appendInterpolation(_ action: Action) { parts.append(.action(action)) }
  }
}
