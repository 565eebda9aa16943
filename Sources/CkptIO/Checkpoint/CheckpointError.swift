internal import CkptText
public import CkptPlatform

/// An error in a checkpoint, or in its use.
public enum CheckpointError: Diagnostic, Equatable {
  /// The archive is not a checkpoint.
  case notACheckpoint(file: String, String)
  /// A structure of the file is invalid at a byte offset.
  case damaged(file: String, offset: Int, String)
  /// The pickle that begins at a byte offset is damaged; `of` is what it describes.
  case badPickle(file: String, of: String?, offset: Int, String)
  /// A record of an archive is invalid.
  case badRecord(file: String, record: String, String)
  /// The file is of a different kind.
  case otherFile(file: String, OtherFile)
  /// The object at `path` in the pickle is invalid.
  case badObject(file: String, path: String, String)
  /// A key of a state dict is not a string.
  case keyIsNoString(file: String, path: String, key: String)
  /// There is no object at a path; `there` are the names that could replace `step`.
  case noSuchObject(file: String, path: String, step: String, there: [String])
  /// The object at a path is not a mapping.
  case noMapping(file: String, path: String, what: String)
  /// No state dict was found, or several; `candidates` are the possible ones.
  case unclear(file: String, candidates: [Candidate])
  /// The index and the shards of a sharded checkpoint do not match.
  case badShard(index: String, String)
  /// A folder contains several files that could be the checkpoint.
  case unclearFolder(folder: String, candidates: [String])
  /// The format cannot represent objects; each is given with its path.
  case wouldDrop(file: String, format: Checkpoint.Format, objects: [String])
  /// Tensors share elements, which the options forbid.
  case tied(file: String, keys: [String])
  /// The format can be read, but not written.
  case unwritableFormat(Checkpoint.Format)
  /// The ending of an output's name is not one of a supported format; `nearest` is the most similar
  /// one that is.
  case unknownEnding(path: String, ending: String, nearest: String)
  /// The output's name has no ending, and the input's format cannot be written.
  case cannotKeepFormat(path: String, Checkpoint.Format)
  /// The format is not one of Hugging Face's folders, but such a folder was requested.
  case noFolderOf(Checkpoint.Format, path: String)
  /// The object cannot be changed as requested; `holder` is the object that would have to be
  /// changed.
  case cannotEdit(file: String, path: String, what: String, holder: String?)
  /// Objects cannot be converted to plain values; each is given with its path and a description.
  case cannotBePlain(file: String, objects: [String])
  /// The object contains more values than can be printed.
  case tooManyValues(file: String, path: String)
  /// The checkpoint cannot be written.
  case cannotWrite(file: String, String, hint: Remedy?)

  /// A mapping that may be the state dict.
  public struct Candidate: Sendable, Hashable {
    /// The path of the mapping.
    public let path: String
    /// The number of tensors that are direct values of the mapping.
    public let tensorCount: Int
  }

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind {
    switch self {
    case .unwritableFormat, .unknownEnding, .cannotKeepFormat, .noFolderOf: .usage
    default: .badInput
    }
  }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .notACheckpoint(let file, _), .otherFile(let file, _), .unclear(let file, _),
      .badShard(let file, _), .unclearFolder(let file, _), .wouldDrop(let file, _, _),
      .unknownEnding(let file, _, _), .cannotKeepFormat(let file, _), .noFolderOf(_, let file),
      .cannotBePlain(let file, _), .cannotWrite(let file, _, _):
      ErrorContext(file: file)
    case .badObject(let file, let path, _), .noSuchObject(let file, let path, _, _),
      .noMapping(let file, let path, _), .cannotEdit(let file, let path, _, _),
      .tooManyValues(let file, let path):
      ErrorContext(file: file, object: path)
    case .keyIsNoString(let file, let path, let key):
      ErrorContext(file: file, object: path, keys: [key])
    case .tied(let file, let keys): ErrorContext(file: file, keys: keys)
    case .damaged(let file, let offset, _), .badPickle(let file, _, let offset, _):
      ErrorContext(file: file, offset: offset)
    case .badRecord(let file, let record, _): ErrorContext(file: file, record: record)
    case .unwritableFormat: ErrorContext()
    }
  }

  /// One line that says what is wrong and where.
  public var description: String {
    switch self {
    case .notACheckpoint(let file, let problem): "\(problem) (\(file))"
    case .damaged(let file, let offset, let problem): "\(problem) (\(file), byte \(offset))"
    case .badPickle(let file, let what, let offset, let problem):
      what.map { "\(problem) (\(file), pickle of \($0) at byte \(offset))" }
        ?? "\(problem) (\(file), a pickle)"
    case .badRecord(let file, let record, let problem):
      "\(problem) (\(file), record \(Text.printable(record)))"
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
