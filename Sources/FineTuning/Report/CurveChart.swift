internal import CkptText
internal import Foundation

/// A chart with curves over the epochs, as SVG.
struct CurveChart {
  /// One curve of the chart.
  struct Curve {
    /// The name in the legend.
    var name: String
    /// The value for each epoch; a value that has no position on the axis is left out.
    var values: [Double]
  }

  /// The identifier of the chart in the page, of letters only.
  let id: String
  /// The title.
  let title: String
  /// The numbers of the epochs, counted from 1.
  let epochs: [Int]
  /// The curves.
  let curves: [Curve]
  /// The axis of the values.
  let axis: ChartAxis
  /// The number of the best epoch, which is marked; nil for none.
  let bestEpoch: Int?
  /// The text of a value.
  let text: (Double) -> String

  // The sides of the image and the margins around the curves, in SVG units, which are about a pixel
  // on a phone.
  private static let width = 360.0, height = 220.0
  private static let left = 50.0, right = 12.0, top = 16.0, bottom = 34.0

  /// The maximum number of curves with colors and legends of their own.
  private static let distinctCount = 6
  /// The maximum number of epochs whose values are marked by dots.
  private static let dottedCount = 60

  /// The HTML of the chart with its legend.
  var html: String {
    let epochAxis = ChartAxis.whole(epochs)
    return "<figure><h3>\(HTMLText.escaped(title))</h3>\n"
      + "<svg viewBox=\"0 0 \(Int(Self.width)) \(Int(Self.height))\" role=\"img\" "
      + "aria-labelledby=\"\(id)-title \(id)-text\">"
      + "<title id=\"\(id)-title\">\(HTMLText.escaped(title))</title>"
      + "<desc id=\"\(id)-text\">\(HTMLText.escaped(summary))</desc>\n"
      + frame(epochAxis) + marks(epochAxis) + curves.indices.map { curve($0, epochAxis) }.joined()
      + "</svg>\n<figcaption>\(legend)</figcaption></figure>\n"
  }

  /// A description of the curves in words, for screen readers.
  private var summary: String {
    curves.map { curve in
      let ends = [curve.values.first, curve.values.last].compactMap(\.self).map(text)
      return "\(curve.name): " + ends.joined(separator: " in the first epoch, ")
        + (ends.count > 1 ? " in the last" : "")
    }.joined(separator: "; ")
  }

  // MARK: - Axes

  private func frame(_ epochAxis: ChartAxis) -> String {
    var svg = ""
    let end = Self.width - Self.right
    for tick in axis.ticks {
      guard let y = y(tick.value) else { continue }
      svg += "<path class=\"grid\" d=\"M\(Self.left) \(y)H\(end)\"/>"
      svg += "<text x=\"\(Self.left - 6)\" y=\"\(y + 4)\" text-anchor=\"end\">\(tick.label)</text>"
    }
    let floor = Self.height - Self.bottom
    svg += "\n<path class=\"axis\" d=\"M\(Self.left) \(floor)H\(end)\"/>"
    for tick in epochAxis.ticks {
      guard let x = x(tick.value, epochAxis) else { continue }
      svg += "<path class=\"axis\" d=\"M\(x) \(floor)v4\"/>"
      svg += "<text x=\"\(x)\" y=\"\(floor + 15)\" text-anchor=\"middle\">\(tick.label)</text>"
    }
    let middle = (Self.left + end) / 2
    return svg
      + "<text x=\"\(middle)\" y=\"\(Self.height - 4)\" text-anchor=\"middle\">epoch</text>\n"
  }

  private func marks(_ epochAxis: ChartAxis) -> String {
    guard let bestEpoch, epochs.contains(bestEpoch), let x = x(Double(bestEpoch), epochAxis) else {
      return ""
    }
    // The text must not leave the image.
    let anchor = x > Self.width - 40 ? "end" : x < Self.left + 20 ? "start" : "middle"
    return "<path class=\"best\" d=\"M\(x) \(Self.top)V\(Self.height - Self.bottom)\"/>"
      + "<text x=\"\(x)\" y=\"\(Self.top - 4)\" text-anchor=\"\(anchor)\">best</text>\n"
  }

  private func x(_ epoch: Double, _ epochAxis: ChartAxis) -> Double? {
    epochAxis.position(of: epoch).map {
      Self.rounded(Self.left + 4 + $0 * (Self.width - Self.left - Self.right - 8))
    }
  }

  private func y(_ value: Double) -> Double? {
    axis.position(of: value).map {
      Self.rounded(Self.height - Self.bottom - $0 * (Self.height - Self.top - Self.bottom))
    }
  }

  private static func rounded(_ length: Double) -> Double { (length * 10).rounded() / 10 }

  // MARK: - Curves

  private func curve(_ index: Int, _ epochAxis: ChartAxis) -> String {
    let curve = curves[index], color = color(index)
    var path = "", dots = "", isDown = false
    for (epoch, value) in zip(epochs, curve.values) {
      guard let x = x(Double(epoch), epochAxis), let y = y(value) else {
        isDown = false
        continue
      }
      path += "\(isDown ? "L" : "M")\(x) \(y)"
      isDown = true
      guard epochs.count <= Self.dottedCount, curves.count <= Self.distinctCount else { continue }
      dots +=
        "<circle class=\"dot\" cx=\"\(x)\" cy=\"\(y)\" r=\"\(epochs.count > 30 ? 1.8 : 2.8)\" "
        + "style=\"fill:\(color)\"><title>\(HTMLText.escaped(curve.name)), epoch \(epoch): "
        + "\(text(value))"
        + "</title></circle>"
    }
    guard !path.isEmpty else { return "" }
    return "<path class=\"curve\" style=\"stroke:\(color)\" d=\"\(path)\"/>\(dots)\n"
  }

  /// The color of a curve; if there are many curves, a hue by its index.
  private func color(_ index: Int) -> String {
    guard curves.count > Self.distinctCount else { return "var(--c\(index))" }
    return "hsl(\(210 - 190 * index / (curves.count - 1)) 60% 50%)"
  }

  private var legend: String {
    // Of many curves, only the first and the last are in the legend.
    let shown =
      curves.count > Self.distinctCount
      ? [0, curves.count / 2, curves.count - 1] : Array(curves.indices)
    let entries = shown.map { index in
      let last = curves[index].values.last.map { ": \(text($0))" } ?? ""
      return "<span><span class=\"swatch\" style=\"background:\(color(index))\"></span>"
        + "\(HTMLText.escaped(curves[index].name))\(last)</span>"
    }
    let missing = curves.flatMap(\.values).count { axis.position(of: $0) == nil }
    let note =
      missing == 0
      ? "" : "<span class=\"soft\">\(HTMLText.count(missing)) without a place here</span>"
    return entries.joined() + note
  }
}
