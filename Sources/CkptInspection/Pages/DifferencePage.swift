internal import CkptText
internal import CkptStateDicts
internal import CkptTensors

extension StateDictDifference {
  /// Writes the comparison as a self-contained HTML page: heat strips over all tensors, and a table
  /// of the changed ones with a histogram of the changes for each.
  ///
  /// - Parameters:
  ///   - a: the name of the first side.
  ///   - b: the name of the second side.
  ///   - write: called with the text, piece by piece.
  /// - Throws: what `write` throws.
  public func writeHTML(a: String, b: String, to write: (String) throws -> Void) rethrows {
    let changed = changed
    try write(HTMLPage.head(title: "\(a) → \(b)", style: PageStyle.rules))
    try write("<h1>\(HTMLText.escaped(a)) → \(HTMLText.escaped(b))</h1>\n")
    let same = entries.count - changed.count
    try write(
      isEqual
        ? "<p>No difference in \(HTMLText.count(entries.count)) tensors.</p>\n"
        : "<p>\(HTMLText.count(changed.count)) of \(HTMLText.count(entries.count)) tensors on both sides "
          + "changed, \(HTMLText.count(same)) did not; \(onlyInA.count) only in the first, "
          + "\(onlyInB.count) only in the second, \(renamed.count) renamed, \(mismatched.count) of another "
          + "shape.</p>\n")
    try writeStrips(changed, to: write)
    if !changed.isEmpty {
      try write(
        "<h2>Changed, most changed first</h2>"
          + "<input placeholder=\"keys that contain…\" aria-label=\"keys that contain\">\n"
          + "<table><thead><tr><th>key<th>dtype<th>shape<th class=n>relative change<th class=n>cosine"
          + "<th class=n>max |a−b|<th class=n>max |a−b|/|b|<th class=n>differing<th>b − a</tr></thead><tbody>\n"
      )
      for (row, entry) in changed.enumerated() { try write(Self.row(row, entry)) }
      try write("</tbody></table>\n")
    }
    try writeList("Renamed", renamed.map { "\($0.old) → \($0.new)" }, to: write)
    try writeList("Other shapes", mismatched.map(Self.text), to: write)
    try writeList("Only in the first", onlyInA, to: write)
    try writeList("Only in the second", onlyInB, to: write)
    try writeList("Not compared, since they are no tensors", notCompared, to: write)
    try write(HTMLPage.foot)
  }

  /// A line that names a key and its shape on both sides.
  private static func text(_ mismatch: ShapeMismatch) -> String {
    func shape(_ shape: [Int]?) -> String { shape.map { "\($0)" } ?? "no tensor" }
    return "\(mismatch.key): \(shape(mismatch.expected)) → \(shape(mismatch.found))"
  }

  /// Writes a heading and a list, unless it is empty.
  private func writeList(
    _ title: String, _ items: [String], to write: (String) throws -> Void
  ) rethrows {
    guard !items.isEmpty else { return }
    try write("<h2>\(title) (\(HTMLText.count(items.count)))</h2><ul>\n")
    for item in items { try write("<li class=k>\(HTMLText.escaped(item))</li>\n") }
    try write("</ul>\n")
  }

  /// Writes a heat strip for each measure, in the order of the tensors.
  private func writeStrips(_ changed: [Entry], to write: (String) throws -> Void) rethrows {
    guard !entries.isEmpty else { return }
    var rows: [ExactText: Int] = [:]
    for (row, entry) in changed.enumerated() { rows[ExactText(entry.key)] = row }
    try write("<h2>Over the layers</h2>\n")
    let strips: [(String, (TensorDifference) -> Double)] = [
      ("relative change", { $0.nanMismatchCount > 0 ? .nan : $0.relativeChange }),
      ("max |a−b|", { $0.nanMismatchCount > 0 ? .nan : $0.maxAbsolute }),
      ("share that differs", { Double($0.differingCount) / Double(max($0.count, 1)) }),
    ]
    for (name, value) in strips {
      let cells = entries.map { entry in
        HTMLPictures.Cell(
          value: entry.difference.map(value) ?? .nan, key: entry.key,
          row: rows[ExactText(entry.key)] ?? 0)
      }
      try write(HTMLPictures.strip(name, cells))
    }
    try write(HTMLPictures.groups(entries.map(\.key)))
  }

  /// The table row of a changed tensor.
  private static func row(_ row: Int, _ entry: Entry) -> String {
    let type =
      entry.changesType
      ? "\(entry.a.dtype.name) → \(entry.b.dtype.name)" : entry.a.dtype.name
    let sizes = entry.a.shape.map(String.init).joined(separator: " × ")
    var text =
      "<tr id=t\(row)><td class=k>\(HTMLText.escaped(entry.key))</td><td>\(type)</td><td>\(sizes)</td>"
    guard let found = entry.difference else {
      return text + "<td class=soft colspan=6>not comparable, and not the same</td></tr>\n"
    }
    for value in [found.relativeChange, found.cosine, found.maxAbsolute, found.maxRelative] {
      text += HTMLText.cell(value)
    }
    var share = HTMLText.count(found.differingCount)
    if found.nanMismatchCount > 0 {
      share += " <span class=bad>\(HTMLText.count(found.nanMismatchCount)) NaN</span>"
    }
    text += HTMLText.cell(Double(found.differingCount), share)
    return text + "<td>\(HTMLPictures.bars(found.histogram))</td></tr>\n"
  }
}
