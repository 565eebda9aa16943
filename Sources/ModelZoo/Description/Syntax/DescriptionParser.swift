internal import CkptPlatform

/// Parses the parts of a description into syntax trees.
struct DescriptionParser {
  let file: String

  func location(_ line: Int?) -> DescriptionError.Location { .init(file: file, line: line) }

  func bad(_ problem: String, _ line: Int?, hint: Remedy? = nil) -> DescriptionError {
    .malformed(location(line), problem: problem, hint: hint)
  }

  /// Runs `body` and adds file and line to errors of an expression.
  func located<T>(_ line: Int, _ text: String, _ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as ExpressionError {
      let start = text.utf8.index(
        text.startIndex, offsetBy: min(error.offset, text.utf8.count))
      let rest = String(decoding: text.utf8[start...].prefix(24), as: UTF8.self)
      throw bad(error.problem + (rest.isEmpty ? " (at the end)" : " (at \"\(rest)\")"), line)
    }
  }

  func word(_ value: PlainYAML, _ what: String) throws -> String {
    guard case .word(let text) = value.content, !text.isEmpty else {
      throw bad("\(what) should stand here", value.line)
    }
    return text
  }

  func expression(_ value: PlainYAML, _ what: String) throws -> Expression {
    let text = try word(value, what)
    return try located(value.line, text) { try ExpressionParser.expression(text) }
  }

  func entries(_ value: PlainYAML, _ what: String) throws -> [PlainYAML.Entry] {
    guard case .mapping(let entries) = value.content else {
      throw bad("\(what) should stand here, as a mapping", value.line)
    }
    return entries
  }

  /// The words of a value that is one word or a list of words.
  func words(_ value: PlainYAML, _ what: String) throws -> [String] {
    guard case .list(let items) = value.content else { return [try word(value, what)] }
    return try items.map { try word($0, what) }
  }

  // MARK: - Modules

  func block(_ entry: PlainYAML.Entry) throws -> (name: String, block: BlockNode) {
    let (name, parameters) = try located(entry.line, entry.key) {
      try ExpressionParser.signature(entry.key)
    }
    return (name, BlockNode(parameters: parameters ?? [], body: try module(entry.value)))
  }

  func module(_ value: PlainYAML) throws -> ModuleNode {
    switch value.content {
    case .word:
      let text = try word(value, "a layer or a block")
      let expression = try located(value.line, text) { try ExpressionParser.expression(text) }
      switch expression {
      case .name(let name): return ModuleNode(content: .call(name: name, []), line: value.line)
      case .call(.name(let name), let arguments):
        return ModuleNode(content: .call(name: name, arguments), line: value.line)
      default:
        throw bad(
          "a layer or a block should stand here, as in Linear(768, 10), not \"\(text)\"",
          value.line)
      }
    case .list(let items):
      let members = try items.enumerated().map { number, item in
        ModuleNode.Member(key: "\(number)", line: item.line, node: try module(item))
      }
      return ModuleNode(content: .members(members, nil), line: value.line)
    case .mapping(let entries):
      if let count = entries.first(where: { $0.key == "repeat" }) {
        return try repetition(count, entries.filter { $0.key != "repeat" }, line: value.line)
      }
      return try members(entries, line: value.line)
    }
  }

  private func members(_ entries: [PlainYAML.Entry], line: Int) throws -> ModuleNode {
    var members: [ModuleNode.Member] = []
    var forward: ModuleNode.Forward?
    for entry in entries {
      if entry.key == "forward" || entry.key.hasPrefix("forward(") {
        guard forward == nil else { throw bad("there are two forward passes", entry.line) }
        forward = try self.forward(entry)
      } else {
        guard isName(entry.key) else {
          throw bad(
            "\"\(entry.key)\" is no name of a module: letters, digits, _ and - are taken",
            entry.line)
        }
        members.append(.init(key: entry.key, line: entry.line, node: try module(entry.value)))
      }
    }
    return ModuleNode(content: .members(members, forward), line: line)
  }

  func isName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 200
      && text.utf8.allSatisfy {
        ExpressionParser.isLetter($0) || ExpressionParser.isDigit($0) || $0 == UInt8(ascii: "-")
      }
  }

  private func forward(_ entry: PlainYAML.Entry) throws -> ModuleNode.Forward {
    let (_, parameters) = try located(entry.line, entry.key) {
      try ExpressionParser.signature(entry.key)
    }
    guard parameters?.isEmpty != true, parameters?.allSatisfy({ $0.standard == nil }) != false
    else {
      throw bad("a forward pass has inputs, without values of their own", entry.line)
    }
    let lines: [PlainYAML]
    if case .list(let items) = entry.value.content { lines = items } else { lines = [entry.value] }
    let steps = try lines.map { line in
      let text = try word(line, "a step such as x + block(x)")
      let (targets, value) = try located(line.line, text) { try ExpressionParser.step(text) }
      return DescribedModule.Step(targets: targets, value: value, line: line.line)
    }
    guard let last = steps.last else { throw bad("a forward pass has steps", entry.line) }
    guard last.targets.isEmpty else {
      throw bad("the last step is the result, and has no name", last.line)
    }
    return ModuleNode.Forward(
      inputs: parameters?.map(\.name) ?? ["x"], steps: steps, line: entry.line)
  }

  private func repetition(
    _ count: PlainYAML.Entry, _ others: [PlainYAML.Entry], line: Int
  ) throws -> ModuleNode {
    var text = try word(count.value, "a number")
    var variable = "i"
    if let separator = text.firstRange(of: " in ") {
      variable = String(text[..<separator.lowerBound])
      text = String(text[separator.upperBound...])
    }
    let number = try located(count.line, text) { try ExpressionParser.expression(text) }
    guard variable.utf8.allSatisfy(ExpressionParser.isLetter), !variable.isEmpty else {
      throw bad("\"\(variable)\" is no name of a variable", count.line)
    }
    let named = others.first { $0.key == "name" }
    let name =
      try named.map { try template($0) } ?? [.value(.name(variable))]
    let rest = others.filter { $0.key != "name" }
    let each: ModuleNode
    if let only = rest.first(where: { $0.key == "each" }) {
      guard rest.count == 1 else {
        throw bad("\"each\" stands alone beside repeat and name", rest[0].line)
      }
      each = try module(only.value)
    } else {
      guard !rest.isEmpty else { throw bad("what is repeated is missing", line) }
      each = try members(rest, line: line)
    }
    return ModuleNode(
      content: .repetition(.init(variable: variable, count: number, name: name, each: each)),
      line: line)
  }

  /// Parses a name with expressions in braces, such as `denselayer{i + 1}`.
  private func template(_ entry: PlainYAML.Entry) throws -> [ModuleNode.NamePart] {
    let text = try word(entry.value, "a name such as layer{i}")
    var parts: [ModuleNode.NamePart] = []
    var rest = text[...]
    while let open = rest.firstIndex(of: "{") {
      guard let close = rest[open...].firstIndex(of: "}") else {
        throw bad("a { has no }", entry.line)
      }
      if open > rest.startIndex { parts.append(.text(String(rest[..<open]))) }
      let inner = String(rest[rest.index(after: open)..<close])
      parts.append(
        .value(try located(entry.line, inner) { try ExpressionParser.expression(inner) }))
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { parts.append(.text(String(rest))) }
    guard parts.contains(where: { if case .value = $0 { true } else { false } }) else {
      throw bad("\"\(text)\" names all alike; put the number in, as in layer{i}", entry.line)
    }
    return parts
  }
}
