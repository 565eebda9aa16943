internal import CkptText

/// The section of a report with the confusion matrix, or with a list of confused classes if there
/// are many.
struct ConfusionSection {
  /// The maximum number of classes in a matrix, and of pairs in the list.
  private static let most = 30

  private let evaluation: Evaluation

  init(_ evaluation: Evaluation) { self.evaluation = evaluation }

  /// The HTML of the section; empty if there are no images.
  var html: String {
    guard evaluation.imageCount > 0 else { return "" }
    return "<h2>What is taken for what</h2>\n"
      + (evaluation.classes.count <= Self.most ? matrix : pairs)
  }

  private var matrix: String {
    let names = evaluation.classes.map(HTMLText.escaped)
    let head = names.map {
      "<th scope=\"col\"><span class=\"name\" title=\"\($0)\">\($0)</span></th>"
    }
    let rows = evaluation.confusion.enumerated().map { row, counts in
      let cells = counts.enumerated().map { column, count in
        cell(count, of: counts.reduce(0, +), names[row], names[column], isRight: row == column)
      }
      return
        "<tr><th scope=\"row\"><span class=\"name\" title=\"\(names[row])\">\(names[row])</span>"
        + "</th>"
        + cells.joined() + "</tr>\n"
    }
    return "<p class=\"soft\">A row holds the images of a class, a column those taken for a class; "
      + "the stronger the color, the larger its share of the row.</p>\n"
      + "<div class=\"scroll\"><table class=\"plain confusion\"><thead><tr><td></td>"
      + "\(head.joined())"
      + "</tr></thead><tbody>\n\(rows.joined())</tbody></table></div>\n"
  }

  private func cell(
    _ count: Int, of total: Int, _ truth: String, _ said: String, isRight: Bool
  ) -> String {
    guard count > 0, total > 0 else { return "<td></td>" }
    let share = Double(count) / Double(total)
    // Even the smallest share has a visible color.
    let shade = (16 + share * 76).rounded() / 100
    return
      "<td class=\"\(isRight ? "right" : "wrong")\(shade > 0.6 ? " dark" : "")\" "
      + "style=\"--s:\(shade)\" "
      + "title=\"\(truth) taken for \(said): \(HTMLText.count(count)) of \(HTMLText.count(total)) "
      + "(\(HTMLText.percent(share)))\">\(HTMLText.count(count))</td>"
  }

  private struct Pair: Hashable {
    let truth: Int, said: Int
  }

  private var pairs: String {
    var counts: [Pair: Int] = [:]
    var totals: [Int: Int] = [:]
    for prediction in evaluation.predictions {
      totals[prediction.label, default: 0] += 1
      guard prediction.label != prediction.predicted else { continue }
      counts[Pair(truth: prediction.label, said: prediction.predicted), default: 0] += 1
    }
    guard !counts.isEmpty else { return "<p>No image is taken for another class.</p>\n" }
    let sorted = counts.sorted {
      ($1.value, $0.key.truth, $0.key.said) < ($0.value, $1.key.truth, $1.key.said)
    }
    let rows = sorted.prefix(Self.most).map { pair, count in
      let share = Double(count) / Double(max(totals[pair.truth] ?? 0, 1))
      return "<tr><td>\(HTMLText.escaped(evaluation.name(of: pair.truth)))</td>"
        + "<td>\(HTMLText.escaped(evaluation.name(of: pair.said)))</td>"
        + HTMLText.cell(Double(count), HTMLText.count(count))
        + HTMLText.cell(share, HTMLText.percent(share)) + "</tr>\n"
    }
    return
      "<p class=\"soft\">The pairs of classes that are confused most often, and the share of "
      + "the class that is taken for the other.</p>\n"
      + "<div class=\"scroll\"><table><thead><tr><th>class</th><th>taken for</th>"
      + "<th class=\"n\">images</th>"
      + "<th class=\"n\">share</th></tr></thead><tbody>\n\(rows.joined())</tbody></table></div>\n"
  }
}

extension Evaluation {
  /// The name of a class; its index if there is no such class.
  func name(of label: Int) -> String {
    classes.indices.contains(label) ? classes[label] : "class \(label)"
  }
}
