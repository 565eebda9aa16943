internal import CkptBytes
internal import CkptText
internal import Foundation

/// The axis of a chart: its range, and the numbers that are written along it.
struct ChartAxis {
  /// A number along an axis.
  struct Tick {
    /// Where it is.
    var value: Double
    /// What is written there.
    var label: String
  }

  /// The ends of the range; on a logarithmic axis, the decimal logarithms of the ends.
  private let low: Double, high: Double
  private let isLogarithmic: Bool
  /// The numbers along it, from low to high.
  let ticks: [Tick]

  /// How far along the axis a value is, from 0 to 1; nil if it has no place there.
  func position(of value: Double) -> Double? {
    guard value.isFinite, !isLogarithmic || value > 0 else { return nil }
    let value = isLogarithmic ? log10(value) : value
    return min(max((value - low) / (high - low), 0), 1)
  }

  /// An axis on which equal differences are equally long, with about four steps of 1, 2, 2.5 or 5 times a power of ten.
  /// It begins at 0 where that is near enough to the values.
  static func linear(
    _ values: [Double], most: Double = .infinity, label: ((Double) -> String)? = nil
  ) -> ChartAxis {
    // Sums of what lies beyond would be infinite.
    let finite = values.filter(\.isFinite).map { min(max($0, -1e300), 1e300) }
    var (low, high) = (finite.min() ?? 0, finite.max() ?? 1)
    if low > 0, low < 0.5 * high { low = 0 }
    if low == 0, high == 0 { high = 1 }
    let least = max(abs(low), abs(high)) * 0.05
    if high - low < least { (low, high) = (low - least, high + least) }
    let rough = (high - low) / 4
    let power = pow(10, floor(log10(rough)))
    let step = power * ([1, 2, 2.5, 5, 10].first { $0 * power >= rough * 0.99 } ?? 10)
    low = floor(low / step + 1e-9) * step
    high = min(ceil(high / step - 1e-9) * step, max(most, low + step))
    // As many as the step needs.
    let places = (0...5).first { place in
      let scaled = step * pow(10, Double(place))
      return abs(scaled - scaled.rounded()) < 1e-6 * scaled
    }
    let count = min(Int(saturating: ((high - low) / step + 1e-9)), 12)
    let ticks = (0...max(count, 1)).map { number in
      let value = low + Double(number) * step
      let plain = abs(value) < 1e5 ? places : nil
      let text =
        plain.map { String(format: "%.\($0)f", value).replacing("-", with: "−") }
        ?? HTMLText.number(value)
      return Tick(value: value, label: label?(value) ?? text)
    }
    return ChartAxis(low: low, high: high, isLogarithmic: false, ticks: ticks)
  }

  /// An axis of whole decades on which equal ratios are equally long; what is not positive has no place there.
  static func logarithmic(_ values: [Double]) -> ChartAxis {
    let logarithms = values.filter { $0.isFinite && $0 > 0 }.map {
      min(max(log10($0), -300), 300)
    }
    // A value that is a decade lies on the axis' end; rounding must not add one more.
    var low = floor((logarithms.min() ?? -1) + 1e-9)
    var high = ceil((logarithms.max() ?? 0) - 1e-9)
    if low >= high { (low, high) = (low - 1, low + 1) }
    let decades = high - low
    let step = max(1, ceil(decades / 6))
    let factors: [Double] = decades <= 1 ? [1, 2, 5] : decades <= 2 ? [1, 3] : [1]
    let ticks = stride(from: low, through: high, by: step).flatMap { decade in
      factors.compactMap { factor -> Tick? in
        let value = factor * pow(10, decade)
        return log10(value) > high + 1e-9
          ? nil : Tick(value: value, label: HTMLText.number(value))
      }
    }
    return ChartAxis(low: low, high: high, isLogarithmic: true, ticks: ticks)
  }

  /// An axis of whole numbers from the first to the last, with at most seven of them along it.
  static func whole(_ numbers: [Int]) -> ChartAxis {
    // Sums of what lies beyond would be too large.
    let near = numbers.map { min(max($0, -(1 << 53)), 1 << 53) }
    let (first, last) = (near.min() ?? 1, near.max() ?? 1)
    let (low, high) = first == last ? (first - 1, first + 1) : (first, last)
    let rough = max(1, (high - low) / 6)
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].first { $0 >= rough } ?? rough
    // Multiples of the step, and the first.
    let start = (low / step + 1) * step
    let values =
      [low] + stride(from: start, through: high, by: step).drop { $0 - low < (step + 1) / 2 }
    let ticks = (first == last ? [first] : values).map {
      Tick(value: Double($0), label: "\($0)")
    }
    return ChartAxis(low: Double(low), high: Double(high), isLogarithmic: false, ticks: ticks)
  }
}
