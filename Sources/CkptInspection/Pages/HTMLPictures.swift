internal import CkptText
internal import CkptBytes
internal import Foundation

/// The pictures of a page, as inline SVG.
enum HTMLPictures {
  /// A histogram as bars; a bin that is not empty is at least one pixel high.
  static func bars(_ histogram: Histogram?) -> String {
    let (width, height) = (176, 34)
    guard let histogram, let most = histogram.counts.max() else { return "" }
    // A single bin is drawn as a line.
    let step = histogram.counts.count == 1 ? 3 : max(1, width / histogram.counts.count)
    var path = "M\(histogram.counts.count == 1 ? width / 2 : 0) \(height)"
    for count in histogram.counts {
      let size =
        count == 0
        ? 0 : max(1, Int(saturating: (Double(count) / Double(most) * Double(height)).rounded()))
      path += "V\(height - size)h\(step)"
    }
    let high = histogram.low + Double(histogram.counts.count) * histogram.width
    let title =
      "\(HTMLText.number(histogram.low)) to \(HTMLText.number(high)), "
      + "\(HTMLText.number(histogram.width)) a bar, at most \(HTMLText.count(most))"
    return "<svg width=\(width) height=\(height)><title>\(title)</title>"
      + "<path d=\"\(path)V\(height)z\"/></svg>"
  }

  /// One cell of a heat strip.
  struct Cell {
    /// The value that decides the color: 0 is gray; NaN and infinite values are red.
    let value: Double
    /// The tensor's key, shown as a tooltip.
    let key: String
    /// The number of the table row that the cell links to.
    let row: Int
  }

  /// A heat strip: a cell for each tensor in order, colored by the logarithm of its value.
  static func strip(_ name: String, _ cells: [Cell]) -> String {
    let positive = cells.map(\.value).filter { $0 > 0 && $0.isFinite }.map { log10($0) }
    // The scale covers at least two decades, so that small differences look small, and at most
    // eight.
    let high = positive.max() ?? 0
    let low = min(max(positive.min() ?? 0, high - 8), high - 2)
    var svg = "<svg viewBox=\"0 0 \(cells.count) 1\" preserveAspectRatio=none>"
    for (index, cell) in cells.enumerated() {
      svg +=
        "<a href=\"#t\(cell.row)\"><rect x=\(index) width=1 height=1 fill=\"\(color(cell.value, low, high))\">"
      svg +=
        "<title>\(HTMLText.escaped(cell.key)): \(HTMLText.number(cell.value))</title></rect></a>"
    }
    svg += "</svg>"
    let red = cells.contains { !$0.value.isFinite } ? "<span class=bad>red: NaN, ∞</span> " : ""
    let scale =
      positive.isEmpty
      ? (red.isEmpty ? "all 0" : red)
      : red
        + "\(HTMLText.number(pow(10, low)))<span class=scale></span>\(HTMLText.number(pow(10, high)))"
    return "<div class=strip><b>\(name)</b>\(svg)<i>\(scale)</i></div>\n"
  }

  /// The labels below the strips: the outermost modules, each as wide as its number of tensors.
  static func groups(_ keys: [String]) -> String {
    var groups: [(name: String, count: Int)] = []
    let firsts = keys.map { key in key.split(separator: ".", omittingEmptySubsequences: false) }
    // Components that all keys start with are skipped.
    var depth = 0
    while let name = firsts.first.flatMap({ depth < $0.count ? $0[depth] : nil }), depth < 8,
      firsts.allSatisfy({ depth + 1 < $0.count && $0[depth] == name })
    {
      depth += 1
    }
    // If most keys have a number after the name, as in `layers.0`, each number is a group.
    let numbered = firsts.count { depth + 1 < $0.count && Int($0[depth + 1]) != nil }
    for parts in firsts {
      var name = depth < parts.count ? String(parts[depth]) : String(parts.last ?? "")
      if 2 * numbered > firsts.count, depth + 1 < parts.count, Int(parts[depth + 1]) != nil {
        name += "." + parts[depth + 1]
      }
      if groups.last?.name == name {
        groups[groups.count - 1].count += 1
      } else {
        groups.append((name, 1))
      }
    }
    let cells = groups.map {
      "<span style=\"flex:\($0.count) 1 0\" title=\"\(HTMLText.escaped($0.name))\">\(HTMLText.escaped($0.name))</span>"
    }
    return "<div class=groups>\(cells.joined())</div>\n"
  }

  /// The red, green, and blue values of the color scale, from low to high.
  private static let anchors: [(Double, Double, Double)] = [
    (242, 233, 201), (143, 199, 160), (58, 147, 160), (45, 90, 154), (43, 31, 92),
  ]

  /// The color of a value on a logarithmic scale from 10^`low` to 10^`high`.
  private static func color(_ value: Double, _ low: Double, _ high: Double) -> String {
    guard value.isFinite else { return "#d32f2f" }
    guard value > 0 else { return "#8883" }
    let index = max(0, min(1, (log10(value) - low) / (high - low))) * Double(anchors.count - 1)
    let first = min(Int(saturating: index), anchors.count - 2)
    let part = index - Double(first)
    func mix(_ a: Double, _ b: Double) -> Int { Int(saturating: (a + (b - a) * part).rounded()) }
    let (a, b) = (anchors[first], anchors[first + 1])
    return "rgb(\(mix(a.0, b.0)),\(mix(a.1, b.1)),\(mix(a.2, b.2)))"
  }
}
