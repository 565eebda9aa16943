internal import CkptText
internal import Foundation
internal import CkptPlatform
public import CkptStateDicts
public import TrainingCore

/// A model described by a YAML file.
///
/// The description's keys are the components of the state dict's keys; layers are written as
/// PyTorch prints them.
///
/// ```swift
/// let description = try ModelDescription(
///   yaml: """
///     classes: head.weight[0] or 10
///     model:
///       body:
///         - Linear(784, 256)
///         - ReLU()
///       head: Linear(256, classes)
///     """)
/// let result = try ModelVerification(of: stateDict, as: description)
/// ```
///
/// `docs/models.md` documents the language. Descriptions may come from untrusted sources: their
/// size, depth, modules, and tensors are limited, and so is the computation of a forward pass.
public struct ModelDescription: ModelFamily {
  /// The name by which a ``ModelSpec`` refers to it: the file's path, or the name that was given.
  public let name: String
  /// The key of the first parameter.
  public let anchor: String
  /// The options: the number of classes, and each size of the description.
  public let options: [(name: String, explanation: String)]

  private let parser: DescriptionParser
  private let model: ModuleNode
  private let blocks: [String: BlockNode]
  /// The named sizes, in order; each may use the preceding ones.
  private let sizes: [Size]
  private let classes: Classes
  private let input: (value: Expression, line: Int)?
  private let head: [String]
  private let ignore: [String]
  private let unused: [String]

  private struct Size: Sendable {
    let name: String
    let value: Expression
    let line: Int
  }

  private enum Classes: Sendable {
    case inferred
    case numbers
    case count(Size)
  }

  private static let known = [
    "input", "classes", "sizes", "blocks", "model", "head", "ignore", "unused",
  ]

  /// Parses a description.
  ///
  /// - Parameters:
  ///   - yaml: the YAML text.
  ///   - name: the name used in errors and reports.
  /// - Throws: `DescriptionError`, with the line.
  public init(yaml: String, name: String = "model.yml") throws {
    let parser = DescriptionParser(file: name)
    let root = try parser.entries(PlainYAML(yaml, file: name), "the description of a model")
    var parts: [String: PlainYAML.Entry] = [:]
    for entry in root {
      guard Self.known.contains(entry.key) else {
        let nearest = NearestKeys.nearest(to: entry.key, in: Self.known)
        throw parser.bad(
          "a description has no \"\(entry.key)\""
            + (nearest.isEmpty ? "" : "; is \(nearest.joined(separator: " or ")) meant?"),
          entry.line, hint: "it has: \(Self.known.joined(separator: ", "))")
      }
      parts[entry.key] = entry
    }
    guard let model = parts["model"] else {
      throw parser.bad("the description has no \"model\"", nil)
    }
    self.name = name
    self.parser = parser
    self.model = try parser.module(model.value)
    var blocks: [String: BlockNode] = [:]
    if let entry = parts["blocks"] {
      for each in try parser.entries(entry.value, "blocks by name") {
        let (name, block) = try parser.block(each)
        guard LayerKind.all()[name] == nil, blocks.updateValue(block, forKey: name) == nil else {
          throw parser.bad("the name \(name) is taken", each.line)
        }
      }
    }
    self.blocks = blocks
    var sizes: [Size] = []
    if let entry = parts["sizes"] {
      for each in try parser.entries(entry.value, "sizes by name") {
        guard
          each.key.utf8.allSatisfy({
            ExpressionParser.isLetter($0) || ExpressionParser.isDigit($0)
          }), each.key.utf8.first.map(ExpressionParser.isLetter) == true, each.key != "classes"
        else {
          throw parser.bad("\"\(each.key)\" is no name of a size", each.line)
        }
        sizes.append(
          Size(
            name: each.key, value: try parser.expression(each.value, "a size"), line: each.line))
      }
    }
    guard sizes.count <= 1000 else { throw parser.bad("there are more than 1000 sizes", nil) }
    self.sizes = sizes
    classes =
      try parts["classes"].map { entry in
        let value = try parser.expression(entry.value, "a number of classes")
        if value == .name("none") { return .numbers }
        return .count(Size(name: "classes", value: value, line: entry.line))
      } ?? .inferred
    input = try parts["input"].map {
      (try parser.expression($0.value, "an input such as image(3, 224)"), $0.line)
    }
    func words(_ key: String) throws -> [String] {
      try parts[key].map { try parser.words($0.value, "keys") } ?? []
    }
    (head, ignore, unused) = (try words("head"), try words("ignore"), try words("unused"))
    var options: [(name: String, explanation: String)] = []
    if case .count = classes { options.append(ModelOptions.classes) }
    self.options = options + sizes.map { ($0.name, "in place of the description's") }
    anchor = Self.firstKey(self.model, blocks) ?? ""
  }

  /// Reads and parses a description.
  ///
  /// - Throws: `FileError` if the file cannot be read; `DescriptionError`, with the line, if it is
  ///   invalid.
  public init(contentsOf path: String) throws {
    let file = try File(readingFrom: path)
    let text: String
    do {
      text = try BoundedYAML.text(of: file, .document)
    } catch let failure as BoundedYAML.Failure {
      throw DescriptionError.malformed(
        .init(file: path, line: nil), problem: failure.problem, hint: nil)
    }
    try self.init(yaml: text, name: path)
  }

  /// Always true, since descriptions are selected by name.
  public func recognizes(_ shapes: StateShapes) -> Bool { true }

  /// Builds the described model with new weights.
  ///
  /// - Parameters:
  ///   - shapes: the shapes of a state dict, from which sizes are taken.
  ///   - options: sizes that replace those of the description.
  ///   - random: the source of the initial weights.
  /// - Throws: `DescriptionError` with the line; `ZooError.cannotInfer` if the tensor that
  ///   determines a size is missing and the description has no alternative; `ZooError.badOption`.
  public func makeModel(
    fitting shapes: StateShapes, _ options: ModelOptions, from random: RandomSource
  ) throws -> ZooModel {
    var scope = SizeScope(values: [:], shapes: shapes)
    var shown: [(name: String, value: Int)] = []
    var all = sizes
    if case .count(let size) = classes { all.insert(size, at: 0) }
    for size in all {
      let value = try value(of: size, options, scope)
      scope.values[size.name] = value
      if case .integer(let number) = value { shown.append((size.name, number)) }
    }
    let module = try ModelBuilder(parser, blocks: blocks, sizes: scope, from: random).model(model)
    let layers = DescribedLayers(module)
    let last = layers.all.last { $0.layer.outputs != nil }
    let objective: Objective
    switch classes {
    case .numbers: objective = .numbers
    case .count:
      guard case .integer(let count) = scope.values["classes"], (1...(1 << 28)).contains(count)
      else { throw parser.bad("the number of classes is no positive integer", nil) }
      objective = .classes(count)
    case .inferred:
      let outputs = last?.layer.outputs ?? 1
      objective = outputs > 1 ? .classes(outputs) : .numbers
      if outputs > 1 { shown.insert(("classes", outputs), at: 0) }
    }
    guard
      let input = try input.map({ try self.input($0.value, $0.line, scope) })
        ?? layers.all.lazy.compactMap(\.layer.input).first
    else {
      throw parser.bad("no layer tells what the model takes; \"input\" does", nil)
    }
    if case .classes(let count) = objective { module.classes = count }
    var result = ZooModel(
      name: name, module: module, input: input, objective: objective, hyperparameters: shown,
      head: head.isEmpty ? [last?.key].compactMap(\.self) : head)
    result.ignorable = ignore
    result.attentionBiases = layers.attentionBiases
    result.withoutGradient =
      layers.attentionBiases.filter { $0.query.key != $0.key.key }.map(\.key.key)
      + module.namedParameters.map(\.key).filter { key in
        unused.contains { key == $0 || key.hasPrefix($0 + ".") }
      }
    return result
  }

  /// The value of a size: from the options, or from the description.
  private func value(of size: Size, _ options: ModelOptions, _ scope: SizeScope) throws -> SizeValue
  {
    if let written = options.values[size.name] {
      guard
        let value = try? SizeScope(values: [:], shapes: scope.shapes)
          .value(ExpressionParser.expression(written)), value.asNumber ?? 1 > 0
      else {
        throw ZooError.badOption(
          model: name, option: size.name, problem: "\"\(written)\" is no size")
      }
      return value
    }
    do {
      return try scope.value(size.value)
    } catch let error as ExpressionError {
      throw parser.bad(error.problem, size.line)
    } catch let error as SizeScope.MissingTensor {
      throw ZooError.cannotInfer(
        model: name, key: error.key, problem: error.problem + " (line \(size.line))")
    }
  }

  /// Parses the input: `image(3, 224)`, `image(3, 224, 160)`, `tokens(30000, 16)`, `vector(784)`,
  /// or `numbers(12, 128)`.
  private func input(_ value: Expression, _ line: Int, _ scope: SizeScope) throws -> ModelInput {
    guard case .call(.name(let kind), let arguments) = value else {
      throw parser.bad("an input should stand here, as in image(3, 224)", line)
    }
    let parameters = [
      "image": ["channels", "height", "width"], "tokens": ["vocabulary", "length"],
      "vector": ["size"], "numbers": ["1", "2", "3", "4"],
    ]
    guard let names = parameters[kind] else {
      throw parser.bad(
        "no input is called \(kind)", line,
        hint: """
          there are: image(channels, height, width), tokens(vocabulary, length), vector(size), \
          numbers(sizes without the batch)
          """)
    }
    do {
      let given = try LayerArguments(
        kind, names, required: kind == "image" ? 2 : 1,
        arguments.map { ($0.name, try scope.value($0.value)) })
      func size(_ name: String, or standard: Int? = nil) throws -> Int {
        try given.integer(name, 1...(1 << 24), or: standard)
      }
      let result: ModelInput
      switch kind {
      case "image":
        let (channels, height) = (try size("channels"), try size("height"))
        let width = try size("width", or: height)
        result =
          width == height
          ? .images(channels: channels, size: height) : .numbers([channels, height, width])
      case "tokens":
        result = .tokens(
          vocabulary: try size("vocabulary"), length: try size("length", or: 16))
      case "vector": result = .features(try size("size"))
      default: result = .numbers(try names.filter { given[$0] != nil }.map { try size($0) })
      }
      guard result.elementCount <= 1 << 23 else {
        throw LayerError("an input has at most \(1 << 23) elements")
      }
      return result
    } catch let error as LayerError {
      throw parser.bad(error.problem, line)
    } catch let error as ExpressionError {
      throw parser.bad(error.problem, line)
    } catch let error as SizeScope.MissingTensor {
      throw ZooError.cannotInfer(
        model: name, key: error.key, problem: error.problem + " (line \(line))")
    }
  }

  /// The key of the first parameter; nil if it depends on sizes.
  private static func firstKey(_ model: ModuleNode, _ blocks: [String: BlockNode]) -> String? {
    let kinds = LayerKind.all()
    var budget = 10_000
    func search(_ node: ModuleNode, _ path: [String]) -> String? {
      budget -= 1
      guard budget > 0, path.count <= ModelBuilder.deepest else { return nil }
      switch node.content {
      case .call(let name, _):
        if let block = blocks[name] {
          // Recursive blocks are rejected when the model is built.
          budget -= 100
          return search(block.body, path)
        }
        if name == "Parameter" { return path.joined(separator: ".") }
        guard kinds[name]?.hasTensors == true else { return nil }
        let weight = name == "MultiheadAttention" ? "in_proj_weight" : "weight"
        return (path + [weight]).joined(separator: ".")
      case .members(let members, _):
        for member in members {
          if let found = search(member.node, path + [member.key]) { return found }
        }
        return nil
      case .repetition(let repetition):
        let scope = SizeScope(values: [repetition.variable: .integer(0)], shapes: StateShapes())
        let key = repetition.name.map { part in
          switch part {
          case .text(let text): text
          case .value(let expression): (try? scope.value(expression).text) ?? ""
          }
        }.joined()
        return search(repetition.each, path + [key])
      }
    }
    return search(model, [])
  }
}

extension ModelZoo {
  /// A zoo that includes the model of a spec: if the spec's name ends in `.yml` or `.yaml`, it is
  /// the path of a description, which is added.
  ///
  /// - Throws: `ZooError.unknownModel`; what ``ModelDescription/init(contentsOf:)`` throws.
  public func including(_ spec: ModelSpec) throws -> ModelZoo {
    guard [".yml", ".yaml"].contains(where: spec.name.hasSuffix) else {
      _ = try family(spec.name)
      return self
    }
    return ModelZoo(families: [try ModelDescription(contentsOf: spec.name)] + families)
  }
}

extension ModelVerification {
  /// Loads a state dict into a described model, inspects the weights, and runs the model on a
  /// random batch.
  ///
  /// - Parameters:
  ///   - stateDict: the weights.
  ///   - description: the model.
  ///   - sizes: sizes that replace those of the description.
  ///   - options: how the model is run and trained.
  /// - Throws: `ZooError` and `DescriptionError` if the model cannot be built or run; what reading
  ///   tensors throws.
  public init(
    of stateDict: StateDict, as description: ModelDescription,
    sizes: ModelOptions = ModelOptions(), _ options: Options = Options()
  ) throws {
    try self.init(
      of: stateDict, as: ModelSpec(name: description.name, options: sizes),
      in: ModelZoo(families: [description]), options)
  }
}
