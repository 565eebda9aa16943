/// A table of text columns.
///
/// What cannot be shown in a cell is escaped. Cells are stored as bytes, so that a hundred thousand rows need only a few MB.
struct Table {
  private let rightAligned: Set<Int>
  private let columnCount: Int
  private var bytes: [UInt8] = []
  private var ends: [Int] = []
  private var widths: [Int]

  /// Creates a table with the given headings.
  init(_ headings: [String], rightAligned: Set<Int> = []) {
    self.rightAligned = rightAligned
    columnCount = headings.count
    widths = headings.map { _ in 0 }
    add(headings)
  }

  /// Prints rows of cells; the first row has the headings.
  static func print(_ rows: [[String]], rightAligned: Set<Int> = []) {
    guard let headings = rows.first else { return }
    var table = Table(headings, rightAligned: rightAligned)
    for row in rows.dropFirst() { table.add(row) }
    table.print()
  }

  /// Adds a row; cells beyond the number of headings are ignored.
  mutating func add(_ cells: [String]) {
    for column in 0..<columnCount {
      let start = bytes.count
      if column < cells.count { bytes += Messages.line(cells[column]).utf8 }
      ends.append(bytes.count)
      widths[column] = max(widths[column], width(start..<bytes.count))
    }
  }

  /// The number of terminal columns of the cell, based on Swift's characters.
  private func width(_ cell: Range<Int>) -> Int {
    let cell = bytes[cell]
    return cell.allSatisfy { $0 < 0x80 } ? cell.count : String(decoding: cell, as: UTF8.self).count
  }

  /// Prints the table on stdout.
  func print() {
    var output: [UInt8] = []
    var start = 0
    for (index, end) in ends.enumerated() {
      let column = index % columnCount
      let space = repeatElement(UInt8(ascii: " "), count: widths[column] - width(start..<end))
      if column > 0 { output += [0x20, 0x20] }
      if rightAligned.contains(column) { output += space }
      output += bytes[start..<end]
      if !rightAligned.contains(column) { output += space }
      start = end
      guard column == columnCount - 1 else { continue }
      while output.last == UInt8(ascii: " ") { output.removeLast() }
      output.append(UInt8(ascii: "\n"))
      if output.count > 1 << 16 || index == ends.count - 1 {
        StandardOutput.write(output)
        output.removeAll(keepingCapacity: true)
      }
    }
  }
}
