internal import CkptIO
public import CkptMerging
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptText
internal import Foundation

extension LowRankAdapter {
  /// The metadata key of the configuration in diffusers' safetensors files.
  private static let metadataKey = "lora_adapter_metadata"
  private static let configurationName = "adapter_config.json"
  private static let sizeLimit = 1 << 20

  /// Reads the adapter at `path`: a file, or a folder in peft's layout.
  ///
  /// The configuration is in the file's metadata, or otherwise in `adapter_config.json` in its
  /// folder.
  ///
  /// - Parameter stateDictPath: the path of the adapter's state dict in the file; nil searches for
  ///   it.
  /// - Throws: `FileError` for a configuration that is too large or not JSON; `MergeError` for one
  ///   that is not supported; what opening a checkpoint throws.
  public init(contentsOf path: String, at stateDictPath: String? = nil) throws {
    let checkpoint = try Checkpoint(contentsOf: path)
    let own = checkpoint.metadata.first { $0.key == Self.metadataKey }?.value
    let (text, source) = try own.map { ($0, "\(path), \(Self.metadataKey)") } ?? Self.beside(path)
    self.init(
      try checkpoint.stateDict(at: stateDictPath), name: path,
      configurations: try text.map { try Self.read($0, source: source) } ?? [:])
  }

  /// The text and path of the configuration in an adapter's folder; nil text if there is none.
  private static func beside(_ path: String) throws -> (text: String?, source: String) {
    let folder = Folder.exists(at: path) ? try Folder(path) : try Folder(ofFileAt: path)
    let source = folder.path + "/" + configurationName
    guard folder.contains(configurationName) else { return (nil, source) }
    let file = try folder.open(configurationName)
    guard file.size <= sizeLimit else { throw tooLarge(source) }
    let bytes = try file.bytes(at: 0, count: file.size)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw FileError(.badInput, "is no UTF-8, so no adapter's configuration", path: source)
    }
    return (text, source)
  }

  private static func read(_ text: String, source: String) throws -> [String: Configuration] {
    guard text.utf8.count <= sizeLimit else { throw tooLarge(source) }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: text)
    } catch {
      throw FileError(
        .badInput,
        "is no adapter's configuration: \(error.problem) at character \(error.offset + 1)",
        path: source)
    }
    return try Configuration.read(PlainValue(value), source: source)
  }

  private static func tooLarge(_ source: String) -> FileError {
    FileError(.badInput, "is too large for an adapter's configuration", path: source)
  }
}
