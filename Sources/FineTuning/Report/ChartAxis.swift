internal import CkptBytes
internal import CkptText
internal import Foundation

/// The axis of a chart: its range and its ticks.
struct ChartAxis {
  /// A tick of an axis.
  struct Tick {
    /// The value at the tick.
    var value: Double
    /// The text beside the tick.
    var label: String
  }

  /// The ends of the range; their decimal logarithms if the axis is logarithmic.
  private let low: Double, high: Double
  private let isLogarithmic: Bool
  /// The ticks, sorted by increasing value.
  let ticks: [Tick]

  /// The position of a value along the axis, from 0 to 1; nil for a value that is not finite, or
  /// not positive if the axis is logarithmic.
  func position(of value: Double) -> Double? {
    guard value.isFinite, !isLogarithmic || value > 0 else { return nil }
    let value = isLogarithmic ? log10(value) : value
    return min(max((value - low) / (high - low), 0), 1)
  }

  /// A linear axis with about four steps of 1, 2, 2.5 or 5 times a power of ten. It begins at 0 if
  /// the smallest value is less than half of the largest.
  ///
  /// - Parameters:
  ///   - values: the values to be shown; those that are not finite are ignored.
  ///   - most: the largest end of the range.
  ///   - label: the text of a tick; nil for the number itself.
  static func linear(
    _ values: [Double], most: Double = .infinity, label: ((Double) -> String)? = nil
  ) -> ChartAxis {
    // The difference of larger values could be infinite.
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
    // The number of decimal places that the step needs.
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

  /// A logarithmic axis of whole decades; values that are not positive are ignored.
  static func logarithmic(_ values: [Double]) -> ChartAxis {
    let logarithms = values.filter { $0.isFinite && $0 > 0 }.map {
      min(max(log10($0), -300), 300)
    }
    // If the smallest or largest value is a power of ten, rounding must not add a decade.
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

  /// A linear axis from the smallest to the largest integer, with at most seven ticks.
  static func whole(_ numbers: [Int]) -> ChartAxis {
    // The difference of larger numbers could overflow.
    let near = numbers.map { min(max($0, -(1 << 53)), 1 << 53) }
    let (first, last) = (near.min() ?? 1, near.max() ?? 1)
    let (low, high) = first == last ? (first - 1, first + 1) : (first, last)
    let rough = max(1, (high - low) / 6)
    let step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].first { $0 >= rough } ?? rough
    // The ticks are the smallest number and the multiples of the step.
    let start = (low / step + 1) * step
    let values =
      [low] + stride(from: start, through: high, by: step).drop { $0 - low < (step + 1) / 2 }
    let ticks = (first == last ? [first] : values).map {
      Tick(value: Double($0), label: "\($0)")
    }
    return ChartAxis(low: Double(low), high: Double(high), isLogarithmic: false, ticks: ticks)
  }
}
