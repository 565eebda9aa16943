internal import CkptText

/// The section of a report with the metrics of the epochs: as curves, and as a table.
struct RunCurves {
  let metrics: [EpochMetrics]
  let bestEpoch: Int?
  let evaluation: Evaluation?

  /// The HTML of the section.
  var html: String {
    guard !metrics.isEmpty else { return "<p>No epoch is complete yet.</p>\n" }
    let charts = [lossChart, accuracyChart] + (rateCurves.isEmpty ? [] : [rateChart])
    return "<h2>Epochs</h2>\n<div class=\"charts\">\n\(charts.map(\.html).joined())</div>\n" + table
  }

  private var lossChart: CurveChart {
    let curves = [
      CurveChart.Curve(name: "training", values: metrics.map(\.trainLoss)),
      CurveChart.Curve(name: "validation", values: metrics.map(\.validationLoss)),
    ]
    return chart(
      "loss", "Loss", curves, ChartAxis.linear(curves.flatMap(\.values)), text: HTMLText.number)
  }

  private var accuracyChart: CurveChart {
    var curves = [CurveChart.Curve(name: "top-1", values: metrics.map(\.top1))]
    // With at most five classes, top-5 is always 100 %.
    if (evaluation?.classes.count ?? .max) > 5 {
      curves.append(.init(name: "top-5", values: metrics.map(\.top5)))
    }
    let axis = ChartAxis.linear(curves.flatMap(\.values), most: 1) {
      HTMLText.number($0 * 100) + "\u{202F}%"
    }
    return chart(
      "accuracy", "Accuracy on the validation images", curves, axis, text: HTMLText.percent)
  }

  private var rateChart: CurveChart {
    chart(
      "rates", "Learning rate", rateCurves, .logarithmic(metrics.flatMap(\.learningRates)),
      text: HTMLText.number)
  }

  private func chart(
    _ id: String, _ title: String, _ curves: [CurveChart.Curve], _ axis: ChartAxis,
    text: @escaping (Double) -> String
  ) -> CurveChart {
    CurveChart(
      id: id, title: title, epochs: metrics.map(\.epoch), curves: curves, axis: axis,
      bestEpoch: bestEpoch, text: text)
  }

  /// The curves of the learning rates: one for all parameter groups with the same rates.
  private var rateCurves: [CurveChart.Curve] {
    let count = metrics.map(\.learningRates.count).max() ?? 0
    var groups: [[Double]: [Int]] = [:]
    var order: [[Double]] = []
    for group in 0..<count {
      let values = metrics.map { epoch in
        epoch.learningRates.indices.contains(group) ? epoch.learningRates[group] : .nan
      }
      if groups[values] == nil { order.append(values) }
      groups[values, default: []].append(group)
    }
    return order.map { values in
      let numbers = groups[values] ?? []
      let name =
        numbers.count > 4
        ? "\(numbers.count) groups, \(numbers[0]) to \(numbers[numbers.count - 1])"
        : "group \(numbers.map(String.init).joined(separator: ", "))"
      return CurveChart.Curve(name: name, values: values)
    }
  }

  private var table: String {
    let rows = metrics.map { epoch in
      let isBest = epoch.epoch == bestEpoch
      return "<tr\(isBest ? " class=\"chosen\"" : "")>"
        + HTMLText.cell(Double(epoch.epoch), "\(epoch.epoch)\(isBest ? " (best)" : "")")
        + HTMLText.cell(epoch.seconds, Text.duration(seconds: epoch.seconds))
        + HTMLText.cell(epoch.trainLoss) + HTMLText.cell(epoch.validationLoss)
        + HTMLText.cell(epoch.top1, HTMLText.percent(epoch.top1))
        + HTMLText.cell(epoch.top5, HTMLText.percent(epoch.top5)) + "</tr>\n"
    }
    let names = ["epoch", "time", "training loss", "validation loss", "top-1", "top-5"]
    return
      "<details><summary>The figures of each epoch</summary>"
      + "<div class=\"scroll\"><table><thead><tr>"
      + names.map { "<th class=\"n\">\($0)</th>" }.joined()
      + "</tr></thead><tbody>\n\(rows.joined())</tbody></table></div></details>\n"
  }
}
