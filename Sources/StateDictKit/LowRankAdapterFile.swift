internal import CkptIO
public import CkptMerging
internal import CkptPlatform
internal import CkptStateDicts
internal import CkptText
internal import Foundation

extension LowRankAdapter {
  /// Where diffusers keeps the configuration in a safetensors file.
  private static let metadataKey = "lora_adapter_metadata"
  private static let configurationName = "adapter_config.json"
  private static let sizeLimit = 1 << 20

  /// Reads the adapter at `path`: a file, or a folder as peft writes it.
  ///
  /// Its configuration is what the file's own metadata holds, or else `adapter_config.json` in its folder.
  /// - Parameter stateDictPath: where the adapter's state dict is in the file; nil finds it.
  /// - Throws: `FileError` for a configuration that is too large or no JSON; `MergeError` for one that cannot be
  ///   honored; what opening a checkpoint throws.
  public init(contentsOf path: String, at stateDictPath: String? = nil) throws {
    let checkpoint = try Checkpoint(contentsOf: path)
    let own = checkpoint.metadata.first { $0.key == Self.metadataKey }?.value
    let (text, source) = try own.map { ($0, "\(path), \(Self.metadataKey)") } ?? Self.beside(path)
    self.init(
      try checkpoint.stateDict(at: stateDictPath), name: path,
      configurations: try text.map { try Self.read($0, source: source) } ?? [:])
  }

  /// The text of the configuration in an adapter's folder, if there is one, and its path.
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
