internal import CkptText
internal import CkptTensors

extension StateDictStatistics {
  /// Writes the statistics as a self-contained HTML page: heat strips over all tensors, and a table
  /// with a histogram for each tensor.
  ///
  /// - Parameters:
  ///   - title: the page's title, such as the file's name.
  ///   - write: called with the text, piece by piece.
  /// - Throws: what `write` throws.
  public func writeHTML(title: String, to write: (String) throws -> Void) rethrows {
    try write(HTMLPage.head(title: "\(title): statistics", style: PageStyle.rules))
    let elements = entries.reduce(0) { $0 + $1.tensor.elementCount }
    let nans = entries.reduce(0) { $0 + ($1.statistics?.nanCount ?? 0) }
    let infinite = entries.reduce(0) { $0 + ($1.statistics?.infiniteCount ?? 0) }
    try write("<h1>\(HTMLText.escaped(title))</h1>\n")
    try write(
      "<p>\(HTMLText.count(entries.count)) tensors, \(HTMLText.count(elements)) elements"
        + (nans + infinite > 0
          ? ", <span class=bad>\(HTMLText.count(nans)) NaN, \(HTMLText.count(infinite)) infinite</span>"
          : ", none NaN or infinite") + "</p>\n")
    try writeStrips(to: write)
    try write(
      "<h2>Tensors</h2><input placeholder=\"keys that contain…\" aria-label=\"keys that contain\">\n"
        + "<table><thead><tr><th>key<th>dtype<th>shape<th class=n>min<th class=n>max<th class=n>mean"
        + "<th class=n>std<th class=n>zeros<th class=n>NaN<th class=n>Inf<th>distribution</tr></thead><tbody>\n"
    )
    for (row, entry) in entries.enumerated() { try write(Self.row(row, entry)) }
    try write("</tbody></table>\n" + HTMLPage.foot)
  }

  /// Writes a heat strip for each statistic, in the order of the tensors.
  private func writeStrips(to write: (String) throws -> Void) rethrows {
    let shown = entries.enumerated().filter { $0.element.statistics != nil }
    guard !shown.isEmpty else { return }
    try write("<h2>Over the layers</h2>\n")
    let strips: [(String, (TensorStatistics) -> Double)] = [
      ("standard deviation", { $0.finiteCount > 1 ? $0.standardDeviation : 0 }),
      ("|mean|", { abs($0.mean) }),
      ("greatest magnitude", { max(abs($0.min), abs($0.max)) }),
      ("share of zeros", { Double($0.zeroCount) / Double(max($0.count, 1)) }),
      ("NaN and infinite", { $0.nanCount + $0.infiniteCount > 0 ? .infinity : 0 }),
    ]
    for (name, value) in strips {
      let cells = shown.map { row, entry -> HTMLPictures.Cell in
        let found = entry.statistics.map { $0.count == 0 ? 0 : value($0) } ?? 0
        return HTMLPictures.Cell(value: found, key: entry.key, row: row)
      }
      guard name != "NaN and infinite" || cells.contains(where: { $0.value > 0 }) else { continue }
      try write(HTMLPictures.strip(name, cells))
    }
    try write(HTMLPictures.groups(shown.map(\.element.key)))
  }

  /// The table row of a tensor.
  private static func row(_ row: Int, _ entry: Entry) -> String {
    let tensor = entry.tensor
    let sizes = tensor.shape.map(String.init).joined(separator: " × ")
    var text =
      "<tr id=t\(row)><td class=k>\(HTMLText.escaped(entry.key))</td><td>\(tensor.dtype.name)</td>"
      + "<td>\(sizes)</td>"
    guard let found = entry.statistics else {
      return text
        + "<td class=soft colspan=8>\(tensor.isMeta ? "on the meta device" : "no numbers")</td></tr>\n"
    }
    for value in [found.min, found.max, found.mean, found.standardDeviation] {
      text += HTMLText.cell(value)
    }
    for (count, isBad) in [
      (found.zeroCount, false), (found.nanCount, true), (found.infiniteCount, true),
    ] {
      let shown =
        isBad && count > 0
        ? "<span class=bad>\(HTMLText.count(count))</span>" : HTMLText.count(count)
      text += HTMLText.cell(Double(count), shown)
    }
    return text + "<td>\(HTMLPictures.bars(found.histogram))</td></tr>\n"
  }
}
