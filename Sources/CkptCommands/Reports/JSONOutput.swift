internal import CkptText
internal import Foundation

extension JSONValue {
  /// Converts an encodable value to JSON, with the members of objects sorted by name, and NaN and
  /// infinite numbers as strings.
  init(encoding value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    try self.init(parsing: String(decoding: encoder.encode(value), as: UTF8.self))
  }
}

/// Prints one JSON document on stdout.
func printJSON(_ value: some Encodable) throws {
  printDocument(try JSONValue(encoding: value).text(.report))
}

/// Prints one JSON document on stdout after the work is done; errors are ignored.
func showJSON(_ value: some Encodable) {
  do {
    try printJSON(value)
  } catch {
    Messages.warn("the report cannot be printed: \(error)")
  }
}

/// Prints one JSON document on stdout with one list that may be long, which is encoded and printed
/// in parts.
///
/// - Parameters:
///   - value: the document, with that list empty.
///   - key: the list's key in the document's top object.
///   - rows: the elements of the list.
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
    StandardOutput.write(writer.takeBytes())
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
  StandardOutput.write(writer.bytes + [UInt8(ascii: "\n")])
}
