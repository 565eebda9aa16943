internal import ArgumentParser
internal import Foundation
internal import StateDictKit
internal import Yams

/// How keys are to be called.
///
/// The rules apply in the order given, which the parser would not keep across different options: before
/// it sees them, `ordered` turns each into one hidden option that it does keep in order.
struct RenameOptions: ParsableArguments {
  @Option(help: "Take P away where a key begins with it.")
  var stripPrefix: [String] = []

  @Option(help: "Put P before each key.")
  var addPrefix: [String] = []

  @Option(help: "Where a key begins with OLD, let NEW stand instead: OLD=NEW.")
  var replacePrefix: [String] = []

  @Option(help: "Let NEW stand for each OLD: OLD=NEW; \\= is an equals sign in OLD.")
  var replace: [String] = []

  @Option(help: "Let TEMPLATE ($1, ${name}) stand for each match: 'RE=>TEMPLATE'.")
  var regex: [String] = []

  @Option(help: "A YAML or JSON file that maps old keys to new ones.")
  var map: [String] = []

  @Option(name: .customLong("rename-rule"), help: .hidden)
  var rules: [String] = []

  private static let names = [
    "strip-prefix", "add-prefix", "replace-prefix", "replace", "regex", "map",
  ]

  /// The arguments with each rename option as `--rename-rule=NAME:VALUE`.
  static func ordered(_ arguments: [String]) -> [String] {
    var result: [String] = []
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" { return result + [argument] + rest }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = argument.hasPrefix("--") ? String(parts[0].dropFirst(2)) : ""
      if !names.contains(name) {
        result.append(argument)
      } else if parts.count == 2 {
        result.append("--rename-rule=\(name):\(parts[1])")
      } else if let value = rest.popFirst() {
        result.append("--rename-rule=\(name):\(value)")
      } else {
        result.append(argument)
      }
    }
    return result
  }

  func renames() throws -> [KeyRename] {
    try rules.map { rule in
      let parts = rule.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let value = parts.count == 2 ? String(parts[1]) : ""
      switch parts.first {
      case "strip-prefix": return .stripPrefix(value)
      case "add-prefix": return .addPrefix(value)
      case "replace-prefix":
        let (old, new) = try KeyRename.pair(value)
        return .replacePrefix(old, with: new)
      case "replace":
        let (old, new) = try KeyRename.pair(value)
        return .replace(old, with: new)
      case "regex": return try KeyRename.regexRule(value)
      case "map": return .map(try Self.readMap(value))
      default: throw UsageError(description: "no rename rule is called \"\(rule)\"")
      }
    }
  }

  private static func readMap(_ path: String) throws -> [String: String] {
    let file = try File(readingFrom: path)
    guard file.size <= 64 << 20 else {
      throw InputError(description: "a map of names has at most 64 MB (\(path))")
    }
    let text = String(decoding: try file.bytes(at: 0, count: file.size), as: UTF8.self)
    do {
      // JSON is YAML, as far as such a mapping goes.
      guard let node = try Yams.compose(yaml: text), let mapping = node.mapping else {
        throw InputError(description: "is no mapping of old keys to new ones (\(path))")
      }
      var names: [String: String] = [:]
      for (old, new) in mapping {
        guard let old = old.scalar?.string, let new = new.scalar?.string else {
          throw InputError(description: "maps something that is no key (\(path))")
        }
        names[old] = new
      }
      return names
    } catch let error as YamlError {
      let line = "\(error)".split(separator: "\n").first ?? ""
      throw InputError(description: "is neither YAML nor JSON: \(line) (\(path))")
    }
  }
}
