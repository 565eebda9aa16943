internal import CkptPatterns
internal import CkptPlatform
internal import CkptStateDicts
internal import Yams

/// Parses the nodes of a recipe file.
struct RecipeParser {
  let file: String

  private func bad(_ problem: String, _ node: Node?) -> RecipeError {
    .malformed(file: file, line: node?.mark?.line, problem)
  }

  /// The entries of a mapping with strings as keys.
  func entries(_ node: Node) throws -> [(key: String, value: Node)] {
    guard let mapping = node.mapping else { throw bad("a mapping should stand here", node) }
    return try mapping.map { key, value in
      guard let key = key.scalar?.string else { throw bad("a name should stand here", key) }
      return (key, value)
    }
  }

  private func text(_ node: Node) throws -> String {
    guard let text = node.scalar?.string else { throw bad("a text should stand here", node) }
    return text
  }

  /// A string, or a list of strings.
  private func texts(_ node: Node) throws -> [String] {
    guard let sequence = node.sequence else { return [try text(node)] }
    return try sequence.map(text)
  }

  func recipe(_ node: Node, name: String) throws -> Recipe {
    let known: Set = ["title", "about", "source", "when", "steps", "variants"]
    var parts: [String: Node] = [:]
    for (key, value) in try entries(node) {
      guard known.contains(key) else {
        throw bad(
          "a recipe has no \"\(key)\"; it has " + known.sorted().joined(separator: " "), value)
      }
      parts[key] = value
    }
    let variants: [Recipe.Variant]
    switch (parts["steps"], parts["variants"]) {
    case (let steps?, nil): variants = [try variant(when: parts["when"], steps: steps)]
    case (nil, let all?):
      guard let all = all.sequence, parts["when"] == nil, !all.isEmpty else {
        throw bad("variants are a list, each with its own \"when\"", all)
      }
      variants = try all.map { node in
        let parts = Dictionary(try entries(node).map { ($0.key, $0.value) }) { first, _ in first }
        guard let steps = parts["steps"], Set(parts.keys).isSubset(of: ["when", "steps"]) else {
          throw bad("a variant has \"when\" and \"steps\"", node)
        }
        return try variant(when: parts["when"], steps: steps)
      }
    default: throw bad("the recipe \(name) has either \"steps\" or \"variants\"", node)
    }
    return Recipe(
      name: name, title: try parts["title"].map(text) ?? "",
      about: try parts["about"].map(text) ?? "", source: try parts["source"].map(text) ?? "",
      variants: variants)
  }

  private func variant(when: Node?, steps: Node) throws -> Recipe.Variant {
    guard let list = steps.sequence else { throw bad("steps are a list", steps) }
    var all: [KeyStep] = []
    var written: [String] = []
    for item in list {
      let entries = try entries(item)
      guard entries.count == 1, let entry = entries.first else {
        throw bad("a step is one rule, as in \"strip-prefix: module.\"", item)
      }
      all.append(try step(entry.key, entry.value))
      let value = entry.value.mapping == nil ? try texts(entry.value).joined(separator: " ") : "…"
      written.append("\(entry.key) \(value)")
    }
    return Recipe.Variant(
      when: try when.map { try patterns($0) } ?? [], steps: all, written: written)
  }

  private func patterns(_ node: Node) throws -> [KeyPattern] {
    try texts(node).map { text in
      try located(node) { try KeyPattern(text) }
    }
  }

  /// Adds the file and line to errors of patterns and rules.
  private func located<T>(_ node: Node, _ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as PatternError {
      throw bad(error.description, node)
    }
  }

  private func step(_ name: String, _ node: Node) throws -> KeyStep {
    switch name {
    case "include": return .include(try patterns(node))
    case "exclude": return .exclude(try patterns(node))
    case "map": return .rename(.map(try keyMap(node)))
    default: break
    }
    let value = try text(node)
    return try located(node) {
      switch name {
      case "strip-prefix": return .rename(.stripPrefix(value))
      case "add-prefix": return .rename(.addPrefix(value))
      case "replace-prefix":
        let (old, new) = try KeyRename.pair(value)
        return .rename(.replacePrefix(old, with: new))
      case "replace":
        let (old, new) = try KeyRename.pair(value)
        return .rename(.replace(old, with: new))
      case "regex": return .rename(try KeyRename.regexRule(value))
      default: throw bad("no step is called \"\(name)\"", node)
      }
    }
  }

  func keyMap(_ node: Node) throws -> [String: String] {
    guard let mapping = node.mapping else {
      throw bad("is no mapping of old keys to new ones", nil)
    }
    var names: [String: String] = [:]
    for (old, new) in mapping {
      guard let old = old.scalar?.string, let new = new.scalar?.string else {
        throw bad("maps something that is no key", old)
      }
      names[old] = new
    }
    return names
  }
}
