internal import Crypto
public import Foundation

/// Files that PyTorch wrote, and what it says is in them; see `fixtures/README.md`.
public enum Fixtures {
  /// The folder.
  public static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "fixtures")

  /// The path of a fixture.
  public static func path(_ name: String) -> String {
    folder.appending(path: name).path(percentEncoded: false)
  }

  /// The names, without their endings, of all fixtures that PyTorch described.
  public static let described: [String] = names(ending: ".json")

  /// The names, without their endings, of all checkpoints.
  public static let checkpoints: [String] = names(ending: ".pt")

  private static func names(ending: String) -> [String] {
    let all = try? FileManager.default.contentsOfDirectory(atPath: path(""))
    return (all ?? []).filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) }
      .sorted()
  }

  /// What a JSON document beside the fixtures says.
  public static func decode<T: Decodable>(_ type: T.Type, from name: String) throws -> T {
    try JSONDecoder().decode(type, from: Data(contentsOf: folder.appending(path: name)))
  }
}

/// SHA-256 as hexadecimal digits.
public func sha256(_ bytes: [UInt8]) -> String {
  SHA256.hash(data: bytes).map { (byte: UInt8) in
    String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
  }.joined()
}
