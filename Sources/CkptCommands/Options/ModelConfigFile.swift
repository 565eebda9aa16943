internal import CkptText
internal import Foundation
internal import ModelZoo
internal import StateDictKit

extension ModelConfig {
  /// The maximum size in bytes; usual files have a few kilobytes.
  private static let byteLimit = 1 << 20
  private static let depthLimit = 4

  /// The contents of `config.json` in the checkpoint's folder; nil if there is none. If it cannot
  /// be read, a warning is printed, and it is ignored.
  static func beside(_ checkpoint: String) throws -> ModelConfig? {
    let folder =
      Folder.exists(at: checkpoint)
      ? try Folder(checkpoint) : try Folder(ofFileAt: checkpoint)
    guard folder.contains("config.json") else { return nil }
    do {
      let file = try folder.open("config.json")
      guard file.size <= byteLimit else {
        Messages.warn("\(file.path) is too large for a configuration, and is not used")
        return nil
      }
      let bytes = try file.bytes(at: 0, count: file.size)
      let json = try JSONValue(parsing: String(decoding: bytes, as: UTF8.self))
      guard case .object = json else { return nil }
      var values: [String: Value] = [:]
      flatten(json, "", 0, &values)
      return ModelConfig(path: file.path, values: values)
    } catch let error as any Diagnostic {
      Messages.warn("\(folder.path)/config.json is not used: \(error.description)")
      return nil
    }
  }

  private static func flatten(
    _ json: JSONValue, _ name: String, _ depth: Int, _ values: inout [String: Value]
  ) {
    switch json {
    case .object(let members) where depth < depthLimit:
      for member in members {
        flatten(
          member.value, name.isEmpty ? member.name : name + "." + member.name, depth + 1, &values)
      }
    case .number(let text): values[name] = Double(text).map(Value.number)
    case .string(let text): values[name] = .text(text)
    case .bool(let flag): values[name] = .flag(flag)
    default: break
    }
  }
}
