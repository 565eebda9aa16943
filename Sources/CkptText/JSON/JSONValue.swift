package import CkptPlatform
internal import CkptBytes

/// A value in JSON, its objects in their order and its numbers as they are written.
///
/// `NaN`, `Infinity` and `-Infinity` are numbers here, as they are to Python's `json`.
package enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  /// A number as it is written: `1` is an int, `1.0` and `1e3` are floats.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([Member])

  /// A name and its value in an object.
  package struct Member: Sendable, Hashable {
    /// The name.
    package let name: String
    /// The value.
    package let value: JSONValue

    /// A member of an object.
    package init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// Values deeper than this are refused: what walks over them may call itself for each level.
  private static let depthLimit = 200

  /// Reads a text that is one JSON value.
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

  /// The value as text.
  package func text(_ style: JSONWriter.Style = .readable) -> String {
    var writer = JSONWriter(style)
    writer.value(self)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// Puts a value together from its parts.
private struct JSONBuilder {
  private struct Container {
    var isObject: Bool
    var items: [JSONValue] = []
    var members: [JSONValue.Member] = []
    var names: Set<ExactText> = []
    var name = ""
  }

  private var open: [Container] = []
  /// The value, once all its parts were added.
  private(set) var value = JSONValue.null

  /// Adds the next part; false for a name that its object has already.
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

/// What is wrong with a text that should be JSON, and where.
package struct JSONError: Diagnostic, Hashable {
  /// What is wrong.
  package let problem: String
  /// The text.
  package let text: String
  /// Where in it, in Unicode scalars from its start.
  package let offset: Int

  /// A fault of the call.
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
