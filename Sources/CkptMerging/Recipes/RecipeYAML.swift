internal import Yams

/// Parts of YAML 1.1 that the parser does not handle: merge keys (`<<`), and root keys that only
/// hold anchors.
struct RecipeYAML {
  /// Limits for nested merge keys: their depth, and their number in one mapping.
  private static let deepestMerge = 32
  private static let mostMerges = 1000

  /// The reason a mapping cannot be merged.
  struct Problem: Error {
    let text: String
  }

  /// A mapping with the pairs of its merge keys (`<<`) added. The mapping's own keys take
  /// precedence, as in PyYAML's `SafeConstructor.flatten_mapping`.
  ///
  /// If two mappings in a merged list have different values for one key, YAML 1.1 and PyYAML up to
  /// 6.0.3 take the first, PyYAML 6.0.4 the last; this is an error here.
  static func flattened(_ mapping: Node.Mapping) throws(Problem) -> Node.Mapping {
    var count = 0
    return try flattened(mapping, depth: 0, &count)
  }

  private static func flattened(
    _ mapping: Node.Mapping, depth: Int, _ count: inout Int
  ) throws(Problem) -> Node.Mapping {
    guard mapping.contains(where: { isMerge($0.key) }) else { return mapping }
    count += 1
    guard depth < deepestMerge, count <= mostMerges else {
      throw Problem(text: "merges too many mappings into one another")
    }
    var pairs: [(Node, Node)] = []
    var known = Set<String>()
    func add(_ key: Node, _ value: Node) {
      if let name = key.string, !known.insert(name).inserted { return }
      pairs.append((key, value))
    }
    for (key, value) in mapping where !isMerge(key) { add(key, value) }
    for (key, value) in mapping where isMerge(key) {
      let own = known
      var merged: [String: String?] = [:]
      for node in value.sequence.map({ Array($0) }) ?? [value] {
        guard let inner = node.mapping else {
          throw Problem(text: "merges what is no mapping (<<)")
        }
        for (key, value) in try flattened(inner, depth: depth + 1, &count) {
          if let name = key.string, !own.contains(name) {
            let text = value.scalar?.string
            if let other = merged[name], other == nil || other != text {
              throw Problem(text: "merges two mappings that both have \(name) (<<)")
            }
            merged[name] = .some(text)
          }
          add(key, value)
        }
      }
    }
    return Node.Mapping(pairs)
  }

  /// Whether a key is the merge key `<<`, written without quotes.
  private static func isMerge(_ key: Node) -> Bool {
    key.scalar?.string == "<<" && key.scalar?.style == .plain
  }

  /// The root keys that hold anchors used elsewhere in the text; such keys may have any name.
  static func anchorHolders(_ root: Node.Mapping, in yaml: String) -> Set<String> {
    let lines = yaml.split(separator: "\n", omittingEmptySubsequences: false)
    let starts = root.compactMap { key, _ in key.mark?.line }.sorted()
    let used = names(in: yaml[...], after: "*")
    var holders = Set<String>()
    for (key, _) in root {
      guard let name = key.string, let line = key.mark?.line, line >= 1, line <= lines.count else {
        continue
      }
      let end = starts.first { $0 > line } ?? lines.count + 1
      let text = lines[(line - 1)..<max(line, min(end - 1, lines.count))].joined(separator: "\n")
      if !names(in: text[...], after: "&").isDisjoint(with: used) { holders.insert(name) }
    }
    return holders
  }

  /// The names that follow `sign` (`*` for aliases, `&` for anchors) at the beginning of a word.
  private static func names(in text: Substring, after sign: Character) -> Set<String> {
    var found = Set<String>()
    var before: Character = " "
    var index = text.startIndex
    while index < text.endIndex {
      let next = text.index(after: index)
      if text[index] == sign, before.isWhitespace || "[{,:-".contains(before) {
        let name = text[next...].prefix { !$0.isWhitespace && !",[]{}".contains($0) }
        if !name.isEmpty { found.insert(String(name)) }
      }
      before = text[index]
      index = next
    }
    return found
  }
}
