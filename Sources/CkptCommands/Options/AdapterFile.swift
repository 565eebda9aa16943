internal import Foundation
internal import StateDictKit

/// Finds an adapter and what is known about it in a file, or a folder as peft writes it.
enum AdapterFile {
  /// Where diffusers keeps the configuration in a safetensors file.
  private static let metadataKey = "lora_adapter_metadata"
  private static let configurationName = "adapter_config.json"
  private static let sizeLimit = 1 << 20

  /// Reads the adapter at a path.
  ///
  /// Its configuration is what the file's own metadata holds, or else `adapter_config.json` in its folder.
  /// - Parameter place: where the adapter's state dict is in the file.
  static func adapter(_ path: String, at place: String?) throws -> LowRankAdapter {
    let checkpoint = try Checkpoint(contentsOf: path)
    let (text, source) =
      if let own = checkpoint.metadata.first(where: { $0.key == metadataKey })?.value {
        (own as String?, "\(path), \(metadataKey)")
      } else {
        try beside(path)
      }
    let configurations = try text.map { try read($0, source: source) } ?? [:]
    return LowRankAdapter(
      try checkpoint.stateDict(at: place), name: path, configurations: configurations)
  }

  /// The text of the configuration in an adapter's folder, if there is one, and its path.
  private static func beside(_ path: String) throws -> (text: String?, source: String) {
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    let url = URL(filePath: path)
    let folder = isFolder.boolValue ? url : url.deletingLastPathComponent()
    let path = folder.appending(path: configurationName).path(percentEncoded: false)
    guard FileManager.default.fileExists(atPath: path) else { return (nil, path) }
    let file = try File(readingFrom: path)
    guard file.size <= sizeLimit else {
      throw InputError(description: "is too large for an adapter's configuration (\(path))")
    }
    let bytes = try file.bytes(at: 0, count: file.size)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw InputError(description: "is no UTF-8, so no adapter's configuration (\(path))")
    }
    return (text, path)
  }

  private static func read(
    _ text: String, source: String
  ) throws -> [String: LowRankAdapter.Configuration] {
    guard text.utf8.count <= sizeLimit else {
      throw InputError(description: "is too large for an adapter's configuration (\(source))")
    }
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: text)
    } catch {
      throw InputError(
        description: "is no adapter's configuration: \(error.problem) at character "
          + "\(error.offset + 1) (\(source))")
    }
    return try LowRankAdapter.Configuration.read(PlainValue(value), source: source)
  }
}
