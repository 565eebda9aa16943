internal import ArgumentParser
internal import Foundation
internal import StateDictKit

/// The result of `scan` in the Static Analysis Results Interchange Format, version 2.1.0.
struct SARIFLog: Encodable {
  struct Text: Encodable {
    let text: String
  }
  struct Rule: Encodable {
    struct Configuration: Encodable {
      let level: String
    }
    let id, name: String
    let shortDescription: Text
    let defaultConfiguration: Configuration
  }
  struct Driver: Encodable {
    let name = "ckpt"
    let version: String
    let rules: [Rule]
  }
  struct Tool: Encodable {
    let driver: Driver
  }
  struct Location: Encodable {
    struct Physical: Encodable {
      struct Artifact: Encodable {
        let uri: String
      }
      let artifactLocation: Artifact
    }
    struct Logical: Encodable {
      let fullyQualifiedName: String
    }
    let physicalLocation: Physical
    let logicalLocations: [Logical]?
  }
  struct Result: Encodable {
    let ruleId: String
    let ruleIndex: Int
    let level: String
    let message: Text
    let locations: [Location]
  }
  struct Artifact: Encodable {
    let location: Location.Physical.Artifact
  }
  struct Run: Encodable {
    let tool: Tool
    let artifacts: [Artifact]
    let results: [Result]
    let columnKind = "unicodeCodePoints"
  }

  let schema = "https://json.schemastore.org/sarif-2.1.0.json"
  let version = "2.1.0"
  let runs: [Run]

  enum CodingKeys: String, CodingKey {
    case schema = "$schema"
    case version, runs
  }

  /// The rules, in the order of their indices.
  private enum Kind: Int, CaseIterable {
    case dangerousName, unknownName, dangerousContent, unknownContent, damage, notScanned

    var rule: Rule {
      let (id, name, text) =
        switch self {
        case .dangerousName:
          ("CKPT001", "DangerousName", "A pickle names what runs code or commands, or reaches it.")
        case .unknownName:
          ("CKPT002", "UnknownName", "A pickle names a class or function that is not known.")
        case .dangerousContent:
          ("CKPT003", "DangerousContent", "A part of the file acts when it is loaded or used.")
        case .unknownContent:
          ("CKPT004", "UnclearContent", "Readers see different things in the file.")
        case .damage: ("CKPT005", "Damage", "A part of the file is damaged.")
        case .notScanned: ("CKPT006", "NotScanned", "A part of the file was not looked into.")
        }
      return Rule(
        id: id, name: name, shortDescription: Text(text: text),
        defaultConfiguration: .init(level: level))
    }

    var level: String {
      self == .dangerousName || self == .dangerousContent ? "error" : "warning"
    }
  }

  init(_ report: ScanReport) {
    var results: [Result] = []
    for file in report.files {
      func add(_ kind: Kind, _ text: String, _ place: String) {
        let location = Location(
          physicalLocation: .init(artifactLocation: .init(uri: Self.uri(file.file))),
          logicalLocations: place.isEmpty ? nil : [.init(fullyQualifiedName: place)])
        results.append(
          Result(
            ruleId: kind.rule.id, ruleIndex: kind.rawValue, level: kind.level,
            message: Text(text: text), locations: [location]))
      }
      for global in file.globals where global.rating != .safe {
        let reason = global.reason.map { ": " + $0 } ?? ""
        add(
          global.rating == .dangerous ? .dangerousName : .unknownName,
          "\(global.module).\(global.name) is \(global.isCalled ? "called" : "named")\(reason)",
          global.pickle)
      }
      for finding in file.findings {
        let kind: Kind =
          finding.rating == .dangerous
          ? .dangerousContent : finding.isDamage ? .damage : .unknownContent
        add(kind, finding.what, finding.place)
      }
      for part in file.skipped where !part.isHarmless { add(.notScanned, part.why, part.what) }
    }
    runs = [
      Run(
        tool: Tool(
          driver: Driver(
            version: Ckpt.configuration.version, rules: Kind.allCases.map(\.rule))),
        artifacts: report.files.map { Artifact(location: .init(uri: Self.uri($0.file))) },
        results: results)
    ]
  }

  /// A path as a URI: percent-encoded, with the scheme if it is absolute.
  private static func uri(_ path: String) -> String {
    let allowed = CharacterSet(
      charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")
    let encoded = path.addingPercentEncoding(withAllowedCharacters: allowed) ?? ""
    return path.hasPrefix("/") ? "file://" + encoded : encoded
  }
}
