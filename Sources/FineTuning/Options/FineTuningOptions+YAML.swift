internal import CkptStateDicts
internal import CkptText

extension FineTuningOptions {
  /// The text of `args.yml`: one line for each option. The values are JSON, which is also YAML.
  var yaml: String {
    Self.fields.map { "\($0.name): \($0.value(self).json)\n" }.joined()
  }

  /// Reads the text of an `args.yml`.
  ///
  /// - Parameters:
  ///   - text: the text.
  ///   - file: the path of the file, for the error.
  /// - Throws: ``FineTuningError/notFineTuned(file:problem:)`` for text that is not YAML, and as
  ///   ``init(arguments:from:)``.
  init(yaml text: String, from file: String) throws {
    let value: PlainValue
    do {
      value = try PlainValue(yaml: text)
    } catch let failure as BoundedYAML.Failure {
      throw FineTuningError.notFineTuned(
        file: file, problem: "it \(failure.problem)" + (failure.line.map { ", line \($0)" } ?? ""))
    }
    try self.init(arguments: value, from: file)
  }
}

extension PlainValue {
  /// The value of an option as JSON on one line; `null` for a type that no option has.
  var json: String {
    switch self {
    case .bool(let flag): return flag ? "true" : "false"
    case .int(let number): return "\(number)"
    case .float(let number): return "\(number)"
    case .string(let text):
      var writer = JSONWriter(.oneLine)
      writer.string(text)
      return String(decoding: writer.bytes, as: UTF8.self)
    case .list(let items): return "[" + items.map(\.json).joined(separator: ", ") + "]"
    default: return "null"
    }
  }
}
