internal import CkptText

/// The section of a report with the precision and recall of each class.
struct ClassSection {
  private let evaluation: Evaluation

  init(_ evaluation: Evaluation) { self.evaluation = evaluation }

  /// The HTML of the section; empty if there are no classes.
  var html: String {
    guard !evaluation.classes.isEmpty else { return "" }
    let rows = evaluation.classFigures.map { figures in
      "<tr><td>\(HTMLText.escaped(figures.name))</td>"
        + HTMLText.cell(Double(figures.imageCount), HTMLText.count(figures.imageCount))
        + share(figures.precision) + share(figures.recall) + "</tr>\n"
    }
    return "<h2>Classes</h2>\n<div class=\"scroll\"><table><thead><tr><th>class</th>"
      + "<th class=\"n\">images</th><th class=\"n\">precision</th><th class=\"n\">recall</th>"
      + "</tr></thead>"
      + "<tbody>\n\(rows.joined())</tbody></table></div>\n"
  }

  private func share(_ share: Double?) -> String {
    guard let share else { return HTMLText.cell(.nan) }
    let width = (share * 1000).rounded() / 10
    return HTMLText.cell(
      share, "<span class=\"share\" style=\"--p:\(width)%\">\(HTMLText.percent(share))</span>")
  }
}
