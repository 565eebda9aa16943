internal import Foundation

private func makeEncoder() -> JSONEncoder {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  encoder.nonConformingFloatEncodingStrategy = .convertToString(
    positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  return encoder
}

/// One JSON document on stdout.
func printJSON(_ value: some Encodable) throws {
  print(String(decoding: try makeEncoder().encode(value), as: UTF8.self))
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
  let encoder = makeEncoder()
  let document = String(decoding: try encoder.encode(value), as: UTF8.self)
  // Line breaks within strings are escaped, so that this is the key and nothing else.
  guard let start = document.range(of: "\n  \"\(key)\" : ["),
    let end = document.range(of: "]", range: start.upperBound..<document.endIndex)
  else { return print(document) }
  print(document[..<start.upperBound], terminator: "")
  var isFirst = true
  func show(_ part: [some Encodable]) throws {
    guard !part.isEmpty else { return }
    // The part without its brackets, two columns further in.
    let text = try encoder.encode(part).dropFirst().dropLast(2)
    var bytes: [UInt8] = isFirst ? [] : [UInt8(ascii: ",")]
    bytes.reserveCapacity(text.count * 2)
    for byte in text {
      bytes.append(byte)
      if byte == UInt8(ascii: "\n") { bytes += [UInt8(ascii: " "), UInt8(ascii: " ")] }
    }
    print(String(decoding: bytes, as: UTF8.self), terminator: "")
    isFirst = false
  }
  var part: [Row] = []
  for row in rows {
    part.append(row)
    if part.count == 500 {
      try show(part)
      part.removeAll(keepingCapacity: true)
    }
  }
  try show(part)
  print("\n  " + document[end.lowerBound...])
}
