internal import CkptText
internal import CkptPlatform
internal import CkptPatterns
internal import Foundation
internal import CkptStateDicts
internal import CkptTensors
internal import Yams

/// Reads the parts of a recipe. Errors are `MergeError.badRecipe` with the place in the recipe.
struct RecipeReader {
  let file: String
  /// The models' paths, without duplicates.
  private(set) var models: [String] = []
  /// Root keys that only hold anchors; they may have any name.
  private var anchorHolders: Set<String> = []

  init(file: String) { self.file = file }

  /// An error at a place in the recipe.
  func bad(_ path: String, _ problem: String, hint: Remedy? = nil) -> MergeError {
    .badRecipe(file: file, path: path, problem: problem, hint: hint)
  }

  /// Parses the text and returns the root mapping.
  mutating func root(of yaml: String) throws -> Node.Mapping {
    let node: Node?
    do {
      node = try BoundedYAML.root(of: yaml, .document)
    } catch {
      throw bad("", error.problem + (error.line.map { " (line \($0))" } ?? ""))
    }
    guard let root = node, let written = root.mapping, let mapping = try mapping(root, at: "")
    else { throw bad("", "is no mapping") }
    anchorHolders = RecipeYAML.anchorHolders(written, in: yaml)
    return mapping
  }

  /// A node's pairs, including those of merge keys; nil if the node is not a mapping.
  private func mapping(_ node: Node, at path: String) throws -> Node.Mapping? {
    guard let mapping = node.mapping else { return nil }
    do {
      return try RecipeYAML.flattened(mapping)
    } catch {
      throw bad(path, error.text)
    }
  }

  func check(
    _ mapping: Node.Mapping, at path: String, known: [String], refused: [String: String] = [:]
  ) throws {
    for (key, value) in mapping {
      guard let name = key.string else { throw bad(path, "has a key that is no text") }
      let position = path.isEmpty ? name : "\(path).\(name)"
      if let why = refused[name] {
        if Self.isNull(value) { continue }
        throw bad(position, "is not supported: \(why)", hint: "leave it out")
      }
      if path.isEmpty, anchorHolders.contains(name), !known.contains(name) { continue }
      guard known.contains(name) else {
        throw bad(
          position, "is not known", hint: "known here: \(known.joined(separator: ", "))")
      }
    }
  }

  /// Whether a node is a null scalar.
  private static func isNull(_ node: Node) -> Bool {
    node.scalar != nil && (node.null != nil)
  }

  /// The value of a key; nil if it is missing or null.
  private func node(_ mapping: Node.Mapping, _ key: String) -> Node? {
    guard let node = mapping[Node(key)], !Self.isNull(node) else { return nil }
    return node
  }

  /// The text of a key; nil if it is missing or null.
  func text(_ mapping: Node.Mapping, _ key: String, at path: String) throws -> String? {
    guard let node = node(mapping, key) else { return nil }
    guard let text = node.scalar?.string else {
      throw bad(path.isEmpty ? key : "\(path).\(key)", "is no text")
    }
    return text
  }

  /// The list of a key; nil if it is missing or null.
  func list(_ mapping: Node.Mapping, _ key: String, at path: String) throws -> [Node]? {
    guard let node = node(mapping, key) else { return nil }
    guard let list = node.sequence else {
      throw bad(path.isEmpty ? key : "\(path).\(key)", "is no list")
    }
    return Array(list)
  }

  /// The index of a model in `models`, from its path as written in the recipe; the model is added
  /// if it is new.
  mutating func model(_ written: String) -> Int {
    let path =
      written.hasPrefix("/")
      ? written
      : URL(filePath: file).deletingLastPathComponent().appending(path: written)
        .path(percentEncoded: false)
    if let known = models.firstIndex(of: path) { return known }
    models.append(path)
    return models.count - 1
  }

  func dtype(_ mapping: Node.Mapping, _ key: String) throws -> DType? {
    guard let name = try text(mapping, key, at: "") else { return nil }
    let plain = name.hasPrefix("torch.") ? String(name.dropFirst(6)) : name
    let type: DType? =
      switch plain {
      case "float": .float32
      case "half": .float16
      case "double": .float64
      default: DType(name: plain)
      }
    guard let type, type.isFloat, !type.isComplex else {
      throw bad(key, "\"\(name)\" is no floating-point type")
    }
    return type
  }

  /// Reads one item of `slices`.
  mutating func slice(_ node: Node, at path: String, base: Int?) throws -> MergeRecipe.Slice {
    guard let mapping = try mapping(node, at: path) else { throw bad(path, "is no mapping") }
    try check(
      mapping, at: path, known: ["sources", "base_model", "parameters"],
      refused: ["residual_weight": "residuals are not merged"])
    guard let list = try list(mapping, "sources", at: path), !list.isEmpty else {
      throw bad(path, "has no sources")
    }
    var sources: [MergeRecipe.Source] = []
    for (index, item) in list.enumerated() {
      sources.append(try source(item, at: "\(path).sources[\(index)]", hasRange: true))
    }
    let own = try text(mapping, "base_model", at: path).map { model($0) }
    return MergeRecipe.Slice(
      sources: sources, base: own ?? base, settings: try settings(mapping, at: path))
  }

  /// Reads one item of `models` or `sources`; `hasRange` says whether it has a `layer_range`.
  mutating func source(
    _ node: Node, at path: String, hasRange: Bool
  ) throws -> MergeRecipe.Source {
    guard let mapping = try mapping(node, at: path) else { throw bad(path, "is no mapping") }
    try check(
      mapping, at: path,
      known: hasRange ? ["model", "layer_range", "parameters"] : ["model", "parameters"])
    guard let written = try text(mapping, "model", at: path), !written.isEmpty else {
      throw bad(path, "names no model")
    }
    var layers = 0..<0
    if hasRange {
      let numbers = try list(mapping, "layer_range", at: path)?.map(\.int) ?? []
      guard numbers.count == 2, let first = numbers[0], let end = numbers[1], first >= 0,
        end > first
      else {
        throw bad(
          "\(path).layer_range", "is no range of layers",
          hint: "write the first layer and the one behind the last, as in [0, 16]")
      }
      layers = first..<end
    }
    return MergeRecipe.Source(
      model: model(written), layers: layers, settings: try settings(mapping, at: path))
  }

  /// Reads the `parameters` of a mapping; empty if there are none.
  func settings(_ mapping: Node.Mapping, at path: String) throws -> MergeSettings {
    let path = path.isEmpty ? "parameters" : "\(path).parameters"
    guard let node = node(mapping, "parameters") else { return MergeSettings() }
    guard let parameters = try self.mapping(node, at: path) else {
      throw bad(path, "is no mapping")
    }
    var result = MergeSettings()
    for (key, value) in parameters {
      guard let name = key.string else { throw bad(path, "has a key that is no text") }
      guard let parameter = MergeParameter(rawValue: name) else {
        let known = MergeParameter.allCases.map(\.rawValue).joined(separator: ", ")
        throw bad("\(path).\(name)", "is not known", hint: "known: \(known)")
      }
      if Self.isNull(value) { continue }
      result[parameter] = MergeSetting(try rules(value, parameter, at: "\(path).\(name)"))
    }
    return result
  }

  /// Reads a parameter's value: a number, a list of numbers (a gradient), or conditions with
  /// filters.
  private func rules(
    _ node: Node, _ parameter: MergeParameter, at path: String
  ) throws -> [MergeSetting.Rule] {
    if node.mapping != nil { return [try condition(node, parameter, at: path)] }
    guard let list = node.sequence, list.contains(where: { $0.mapping != nil }) else {
      return [MergeSetting.Rule(values: try values(node, parameter, at: path))]
    }
    return try list.enumerated().map { try condition($1, parameter, at: "\(path)[\($0)]") }
  }

  /// Reads one mapping with `value` and an optional `filter`.
  private func condition(
    _ node: Node, _ parameter: MergeParameter, at path: String
  ) throws -> MergeSetting.Rule {
    guard let mapping = try mapping(node, at: path) else {
      throw bad(path, "is no mapping with a value")
    }
    try check(mapping, at: path, known: ["value", "filter"])
    guard let value = self.node(mapping, "value") else { throw bad(path, "has no value") }
    let filter = try text(mapping, "filter", at: path)
    return MergeSetting.Rule(
      pattern: try filter.flatMap { $0 == "*" ? nil : try KeyPattern(.contains, $0) },
      values: try values(value, parameter, at: "\(path).value"))
  }

  /// Reads a number or a list of numbers; true is 1 and false is 0.
  private func values(
    _ node: Node, _ parameter: MergeParameter, at path: String
  ) throws -> [Double] {
    let nodes = node.sequence.map { Array($0) } ?? [node]
    return try nodes.map { node in
      if let flag = node.bool, node.scalar?.style == .plain { return flag ? 1 : 0 }
      // YAML 1.1 reads 1e-3 as text; mergekit converts it to a number.
      guard let text = node.scalar?.string, let number = Double(text), number.isFinite else {
        throw bad(path, "is neither a number nor a list of numbers")
      }
      return number
    }
  }
}
