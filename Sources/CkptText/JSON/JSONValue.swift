package import CkptPlatform
internal import CkptBytes

/// A JSON value. Objects keep their order, and numbers their text.
///
/// `NaN`, `Infinity`, and `-Infinity` are accepted as numbers, as in Python's `json`.
package enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  /// A number, as its text: `1` is an integer, `1.0` and `1e3` are floating-point numbers.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  /// A member of an object: a name and a value.
  package struct Member: Sendable, Hashable {
    /// The name.
    package let name: String
    /// The value.
    package let value: JSONValue

    /// Creates a member.
    package init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// The maximum nesting depth; code that processes values may therefore be recursive.
  private static let depthLimit = 200

  /// Parses a text that consists of one JSON value.
  ///
  /// - Throws: ``JSONError`` with the position in the text.
  package init(parsing text: String) throws(JSONError) {
    do {
      let bytes = Array(text.utf8)
      var reader = JSONReader(.bytes(bytes), depthLimit: Self.depthLimit)
      var builder = JSONBuilder()
      try reader.value(
        textLimit: bytes.count, numberLimit: bytes.count, allowsNonFinite: true
      ) { token, offset in
        guard builder.add(token) else {
          throw JSONReader.Failure(problem: "a name occurs twice", offset: offset)
        }
      }
      try reader.finish()
      self = builder.value
    } catch let failure as JSONReader.Failure {
      let before = String(decoding: text.utf8.prefix(failure.offset), as: UTF8.self)
      throw JSONError(
        problem: failure.problem, text: text, offset: before.unicodeScalars.count)
    } catch {
      throw JSONError(problem: "\(error)", text: text, offset: 0)
    }
  }

  /// The JSON text of the value.
  package func text(_ style: JSONWriter.Style = .readable) -> String {
    var writer = JSONWriter(style)
    writer.value(self)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// Builds a value from its tokens.
private struct JSONBuilder {
  private struct Container {
    var isObject: Bool
    var items: [JSONValue] = []
    var members: [JSONValue.Member] = []
    var names: Set<ExactText> = []
    var name = ""
  }

  private var open: [Container] = []
  /// The value, complete after the last token.
  private(set) var value = JSONValue.null

  /// Adds the next token; returns false if the object already has a member of this name.
  mutating func add(_ token: JSONReader.Token) -> Bool {
    switch token {
    case .object: open.append(Container(isObject: true))
    case .array: open.append(Container(isObject: false))
    case .end:
      guard let last = open.popLast() else { return true }
      put(last.isObject ? .object(last.members) : .array(last.items))
    case .key(let name):
      guard let index = open.indices.last else { return true }
      open[index].name = name
      return open[index].names.insert(ExactText(name)).inserted
    case .string(let text): put(.string(text))
    case .number(let digits): put(.number(digits))
    case .bool(let flag): put(.bool(flag))
    case .null: put(.null)
    }
    return true
  }

  private mutating func put(_ value: JSONValue) {
    guard let index = open.indices.last else {
      self.value = value
      return
    }
    if open[index].isObject {
      open[index].members.append(.init(open[index].name, value))
    } else {
      open[index].items.append(value)
    }
  }
}

/// An error in a JSON text, with its position.
package struct JSONError: Diagnostic, Hashable {
  /// What is wrong.
  package let problem: String
  /// The text.
  package let text: String
  /// The position of the error, in Unicode scalars.
  package let offset: Int

  /// The category of the error: always a usage error.
  package var kind: DiagnosticKind { .usage }
  /// One line that says what is wrong and where.
  package var description: String {
    "no JSON: \(problem) at character \(offset + 1) (value \(Text.quoted(text)))"
  }
  /// What the caller can do about the error.
  package var remedies: [Remedy] {
    ["a value is null, true, 3, 0.5, \"text\", [1, 2] or {\"lr\": 0.1}; text needs its quotes"]
  }
}
