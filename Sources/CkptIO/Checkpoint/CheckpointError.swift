internal import CkptText
public import CkptPlatform

/// What is wrong with a checkpoint, and where in it.
public enum CheckpointError: Diagnostic, Equatable {
  /// An archive that is no checkpoint.
  case notACheckpoint(file: String, String)
  /// A file that is something else than a checkpoint.
  case otherFile(file: String, OtherFile)
  /// An object of the pickle that makes no sense; `path` leads to it.
  case badObject(file: String, path: String, String)
  /// A key of a state dict that is no str.
  case keyIsNoString(file: String, path: String, key: String)
  /// A path that leads nowhere.
  case noSuchObject(file: String, path: String, step: String, there: [String])
  /// What a path leads to is no mapping.
  case noMapping(file: String, path: String, what: String)
  /// No state dict was found, or several; those that could be meant, with their numbers of tensors.
  case unclear(file: String, candidates: [Candidate])
  /// A sharded checkpoint whose index and shards do not fit each other.
  case badShard(index: String, String)
  /// A folder in which several files could be meant.
  case unclearFolder(folder: String, candidates: [String])
  /// Objects that a format cannot hold, each with its path.
  case wouldDrop(file: String, format: Checkpoint.Format, objects: [String])
  /// Tensors that share elements, where that is not wanted.
  case tied(file: String, keys: [String])
  /// A format that is read but not written.
  case unwritableFormat(Checkpoint.Format)
  /// The name of an output whose ending means no format that is written; the nearest that does.
  case unknownEnding(path: String, ending: String, nearest: String)
  /// An output whose name has no ending, made from a format that is read but not written.
  case cannotKeepFormat(path: String, Checkpoint.Format)
  /// A format that is no folder as Hugging Face's tools read it, where such a folder was asked for.
  case noFolderOf(Checkpoint.Format, path: String)
  /// An object that cannot be changed as asked; `holder` is what would have to change.
  case cannotEdit(file: String, path: String, what: String, holder: String?)
  /// Objects that nothing plain can stand for, each with its path and what it is.
  case cannotBePlain(file: String, objects: [String])
  /// More than can be printed.
  case tooManyValues(file: String, path: String)
  /// Something that cannot be written.
  case cannotWrite(file: String, String, hint: Remedy?)

  /// A mapping that could be the state dict.
  public struct Candidate: Sendable, Hashable {
    /// The path that names it.
    public let path: String
    /// How many tensors it holds itself.
    public let tensorCount: Int
  }

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    switch self {
    case .unwritableFormat, .unknownEnding, .cannotKeepFormat, .noFolderOf: .usage
    default: .badInput
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .notACheckpoint(let file, let problem): "\(problem) (\(file))"
    case .otherFile(let file, let other): "\(other.name), no checkpoint (\(file))"
    case .badObject(let file, let path, let problem):
      "\(problem) (\(file), object \(Text.printable(path)))"
    case .keyIsNoString(let file, let path, let key):
      "a key of the state dict is no string: \(key) (\(file), object \(Text.printable(path)))"
    case .noSuchObject(let file, let path, let step, _):
      "there is no \(Text.quoted(step)) in \(Text.printable(path)) (\(file))"
    case .noMapping(let file, let path, let what):
      "is no mapping from keys to tensors but \(what) (\(file), object \(Text.printable(path)))"
    case .unclear(let file, let candidates):
      candidates.isEmpty
        ? "no state dict found: nothing maps strings to weights (\(file))"
        : "which state dict is meant? \(Self.list(candidates)) (\(file))"
    case .badShard(let index, let problem): "\(problem) (\(index))"
    case .unclearFolder(let folder, let candidates):
      "which file is meant? \(candidates.prefix(20).joined(separator: ", ")) (\(folder))"
    case .wouldDrop(let file, let format, let objects):
      "\(format.rawValue) holds tensors alone; this would be lost: \(Self.some(objects)) (\(file))"
    case .tied(let file, let keys): "tensors share elements: \(Self.some(keys)) (\(file))"
    case .unwritableFormat(let format): "the format \"\(format.rawValue)\" is not written"
    case .unknownEnding(let path, let ending, _):
      "the ending \(ending) means no format that is written (\(Text.printable(path)))"
    case .cannotKeepFormat(let path, let format):
      "the name has no ending, and the input's format, \(format.rawValue), is not written "
        + "(\(Text.printable(path)))"
    case .noFolderOf(let format, let path):
      "a folder of a model's files holds safetensors or PyTorch's, not \(format.rawValue) "
        + "(\(Text.printable(path)))"
    case .cannotEdit(let file, let path, let what, let holder):
      "\(holder.map { $0 + " " } ?? "")\(what) (\(file), object \(Text.printable(path)))"
    case .cannotBePlain(let file, let objects):
      "nothing plain can stand for \(Self.some(objects)) (\(file))"
    case .tooManyValues(let file, let path):
      "more than a million values are inside (\(file), object \(Text.printable(path)))"
    case .cannotWrite(let file, let problem, _): "\(problem) (\(file))"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .otherFile(_, let other): [Remedy(other.hint)]
    case .noSuchObject(_, _, _, let there):
      there.isEmpty
        ? [] : [Remedy("there are: " + there.map(Text.printable).joined(separator: ", "))]
    case .unclear(_, let candidates):
      [
        candidates.first.map { "name one, as in \(.path(Text.printable($0.path)))" }
          ?? "\(.showObjects) prints what is inside"
      ]
    case .keyIsNoString:
      ["\(.path(nil)) names another mapping", "\(.showObjects) prints what is inside"]
    case .badShard: ["\(.rebuildIndex) makes the index anew from the shards"]
    case .unclearFolder: ["name the file"]
    case .wouldDrop: ["\(.dropObjects) leaves it out", "\(.path(nil)) names another state dict"]
    case .tied:
      [
        "\(.ties("keep-first")) writes one of them, \(.ties("copy")) each with elements of its own"
      ]
    case .unwritableFormat:
      [
        Remedy(
          "there are: " + Checkpoint.Format.writable.map(\.rawValue).joined(separator: ", "))
      ]
    case .unknownEnding(_, _, let nearest): ["the nearest that does is \(nearest)"]
    case .cannotKeepFormat: ["such as .pt or .safetensors"]
    case .noFolderOf: ["without the slash it is a file"]
    case .cannotEdit(_, _, _, let holder):
      holder == nil
        ? ["name a key, as in \(.path("epoch"))"]
        : ["a key is set in a mapping or an object with attributes, an index in a list or tuple"]
    case .tooManyValues: ["name a smaller part by \(.path(nil))"]
    case .cannotWrite(_, _, let hint): [hint].compactMap(\.self)
    default: []
    }
  }

  private static func some(_ items: [String]) -> String {
    items.prefix(20).map(Text.printable).joined(separator: ", ")
      + (items.count > 20 ? " and \(items.count - 20) more" : "")
  }

  private static func list(_ candidates: [Candidate]) -> String {
    let shown = candidates.prefix(20).map {
      "\(Text.printable($0.path)) (\($0.tensorCount) tensor\($0.tensorCount == 1 ? "" : "s"))"
    }
    return shown.joined(separator: ", ")
      + (candidates.count > 20 ? " and \(candidates.count - 20) more" : "")
  }
}
