internal import CkptText
internal import Foundation

extension JSONValue {
  /// What an encodable value is in JSON, the members of objects sorted by name; NaN and infinities are strings.
  init(encoding value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    try self.init(parsing: String(decoding: encoder.encode(value), as: UTF8.self))
  }
}

/// One JSON document on stdout.
func printJSON(_ value: some Encodable) throws {
  print(try JSONValue(encoding: value).text(.report))
}

/// One JSON document on stdout, of work that is done: what cannot be printed is no failure of it any more.
func showJSON(_ value: some Encodable) {
  do {
    try printJSON(value)
  } catch {
    Messages.warn("the report cannot be printed: \(error)")
  }
}

/// One JSON document on stdout, one of whose lists may be long: it is made and printed a part at a time.
///
/// - Parameters:
///   - value: the document, in which that list is empty.
///   - key: the list's key, at the top.
///   - rows: what the list holds.
func printJSON<Row: Encodable>(
  _ value: some Encodable, listing key: String, _ rows: some Sequence<Row>
) throws {
  guard case .object(let members) = try JSONValue(encoding: value) else {
    return try printJSON(value)
  }
  var writer = JSONWriter(.report)
  func write(_ part: [Row]) throws {
    guard case .array(let items) = try JSONValue(encoding: part) else { return }
    for item in items { writer.value(item) }
    print(String(decoding: writer.takeBytes(), as: UTF8.self), terminator: "")
  }
  writer.beginObject()
  for member in members {
    writer.name(member.name)
    guard member.name == key else {
      writer.value(member.value)
      continue
    }
    writer.beginArray()
    var part: [Row] = []
    for row in rows {
      part.append(row)
      if part.count == 500 {
        try write(part)
        part.removeAll(keepingCapacity: true)
      }
    }
    try write(part)
    writer.end()
  }
  writer.end()
  print(String(decoding: writer.bytes, as: UTF8.self))
}
