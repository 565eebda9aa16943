/// A suggestion for how to fix an error: a sentence that can contain actions.
///
/// An example is `"\(.replaceExisting) replaces it"`. In ``description``, actions are named by the
/// library's parameters and methods; a tool inserts the names of its own options with
/// ``text(naming:)``.
public struct Remedy: Sendable, Hashable, CustomStringConvertible {
  /// An operation or option that a caller can use.
  public enum Action: Sendable, Hashable {
    /// Replaces an existing output.
    case replaceExisting
    /// Writes only the state dict.
    case extract
    /// Filters, and writes only the state dict.
    case filterAndExtract
    /// Excludes keys, or leaves them unchanged.
    case exclude
    /// Excludes keys when a file is filtered or converted.
    case excludeInEdit
    /// Selects keys by patterns of included and excluded ones.
    case select
    /// Converts tensors to a dtype, such as `float32`; nil for an unspecified one.
    case convert(to: String?)
    /// Converts a file's tensors to a dtype, as a separate operation.
    case convertFile
    /// Excludes keys from a conversion.
    case excludeFromCast
    /// Converts elements that are stored in quantized blocks to float32.
    case dequantize
    /// Drops objects that the format cannot represent.
    case dropObjects
    /// Sets how tensors that share elements are written, by the name of a `TiePolicy` such as
    /// `copy`.
    case ties(String)
    /// Replaces objects such as arrays by plain values.
    case makePlain
    /// Also keeps data that may be damaged when a file is repaired.
    case keepUnverified
    /// Saves what is left of a damaged file.
    case repair
    /// Sets the path of a state dict or an object in a file; nil for an unspecified one.
    case path(String?)
    /// Adapts the optimizer state at a path to the changed keys.
    case followOptimizer(path: String)
    /// Leaves optimizer states unchanged.
    case keepOptimizers
    /// Names a file that determines the names of an optimizer's parameters.
    case nameParameters
    /// Accepts keys that the base does not have.
    case allowNew
    /// Keeps the base's values where shapes differ.
    case skipMismatched
    /// Resizes values of a different shape.
    case resize
    /// Merges or writes tensors that contain NaN.
    case keepNaN
    /// Keeps the first input's value where values cannot be merged.
    case keepUnmergeable
    /// Sets the scale of an adapter's update.
    case scale
    /// Sets the module that contains a model's layers.
    case nameLayers
    /// Replaces a model's head by one with N classes.
    case newHead(model: String)
    /// Removes a prefix from keys.
    case stripPrefix(String)
    /// Lists a file's keys and dtypes.
    case listKeys
    /// Prints the objects in a file.
    case showObjects
    /// Prints the recipes of the library.
    case printRecipes
    /// Renames keys.
    case renameKeys
    /// Combines weights that are stored in several parts.
    case fold
    /// Writes a checkpoint to several files.
    case shard
    /// Creates an index of existing shards.
    case rebuildIndex
    /// Lists the models whose keys match a file.
    case nameModels
    /// Lists the keys that a model has and a file does not, and possible renames.
    case checkAgainstModel
    /// Splits off validation images.
    case splitValidation
    /// Skips images that cannot be read or split.
    case skipBadImages
    /// Names a model's head.
    case nameHead
    /// Lowers the fraction of a backbone that must be loaded.
    case lowerMinimumLoaded

    /// The name of the action in the library.
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
      case .keepUnverified: "RepairOptions.keepsUnverified"
      case .repair: "Checkpoint.repair(contentsOf:)"
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

  /// The actions in the sentence, in order.
  public var actions: [Action] {
    parts.compactMap { if case .action(let action) = $0 { action } else { nil } }
  }

  /// The sentence, with each action replaced by the name that `name` returns for it.
  public func text(naming name: (Action) -> String) -> String {
    parts.map {
      switch $0 {
      case .text(let text): text
      case .action(let action): name(action)
      }
    }.joined()
  }

  /// The sentence with the library's names of actions.
  public var description: String { text(naming: \.description) }
}

extension Remedy: ExpressibleByStringInterpolation {
  /// Creates a sentence without actions.
  public init(_ text: String) { parts = [.text(text)] }

  /// Creates a sentence without actions.
  public init(stringLiteral text: String) { self.init(text) }

  /// Creates a sentence that may contain actions.
  public init(stringInterpolation: StringInterpolation) { parts = stringInterpolation.parts }

  /// Collects the parts of an interpolated sentence.
  public struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var parts: [Part] = []

    /// Creates an empty sentence.
    public init(literalCapacity: Int, interpolationCount: Int) {}

    /// Appends text.
    public mutating func appendLiteral(_ text: String) { parts.append(.text(text)) }

    /// Appends the description of a value.
    public mutating func appendInterpolation(_ value: some CustomStringConvertible) {
      parts.append(.text(value.description))
    }

    /// Appends an action.
    public mutating func appendInterpolation(_ action: Action) { parts.append(.action(action)) }
  }
}
