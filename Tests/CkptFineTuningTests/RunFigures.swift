import FineTuning
import Foundation

/// Figures of runs as they look, for what shows them.
enum RunFigures {
  /// Epochs whose losses fall, with a rate for each of `groupCount` parameter groups.
  static func metrics(_ count: Int, groupCount: Int = 2) -> [EpochMetrics] {
    (0..<count).map { index in
      let part = Double(index) / Double(max(count, 1))
      return EpochMetrics(
        epoch: index + 1, seconds: 12.25 + part, trainLoss: 2.1 * exp(-3 * part) + 0.05,
        validationLoss: 1.9 * exp(-2 * part) + 0.3 * part, top1: 0.9 - 0.7 * exp(-3 * part),
        top5: 1 - 0.5 * exp(-5 * part),
        learningRates: (0..<groupCount).map {
          0.001 * pow(10, Double($0)) * (1 + cos(.pi * part)) / 2
        })
    }
  }

  /// An evaluation of which every fifth image is a mistake.
  ///
  /// - Parameters:
  ///   - classes: the names.
  ///   - count: the number of images.
  ///   - paths: their files, again from the start where they are fewer.
  static func evaluation(_ classes: [String], count: Int, paths: [String]) -> Evaluation {
    Evaluation(
      classes: classes, loss: 0.42, top5: 0.98,
      predictions: (0..<count).map { number in
        let label = number % classes.count
        let isWrong = number % 5 == 3
        let other = (label + 1 + (number / 7) % max(1, classes.count / 2)) % classes.count
        return Evaluation.Prediction(
          path: paths[number / 5 % paths.count], label: label, predicted: isWrong ? other : label,
          probability: 0.5 + Double(number % 50) / 100,
          loss: isWrong ? 3 + Double(number % 11) : 0.1)
      })
  }

  /// What a picture, a class or an option may be called by somebody who means ill.
  static let hostileNames = [
    "<script>alert('1')</script>", "\"><img src=x onerror=alert(1)>", "a&b;<!--", "]]></svg>",
    "\u{202E}gpj.exe\u{0}\u{1B}[2J\n", "' style='x", "\u{FFFE}\u{10FFFF}",
    String(repeating: "long", count: 60),
  ]
}
