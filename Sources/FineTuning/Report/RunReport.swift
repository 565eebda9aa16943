internal import CkptText
public import ImageData

/// A run's `report.html`: what was trained, how it went, how good the best weights are. One file, which needs neither
/// the network nor any other file.
public struct RunReport: Sendable {
  /// The page's title, such as the name of the model.
  public var title: String
  /// What stands on top, such as the number of images, in this order. The best accuracy, the time, and the number of
  /// classes and images that were evaluated are added by the report.
  public var facts: [(name: String, value: String)]
  /// The epochs, in order.
  public var metrics: [EpochMetrics]
  /// The number of the epoch whose weights are kept as the best; nil if none is.
  public var bestEpoch: Int?
  /// How well the best weights do on the validation images; nil if that is not known.
  public var evaluation: Evaluation?
  /// The arguments of the run, in this order.
  public var arguments: [(name: String, value: String)]
  /// What reads the images that the report shows, as the run read them.
  public var decoder: ImageDecoder

  /// A report.
  public init(
    title: String, facts: [(name: String, value: String)], metrics: [EpochMetrics],
    bestEpoch: Int?, evaluation: Evaluation?, arguments: [(name: String, value: String)],
    decoder: ImageDecoder = ImageDecoder()
  ) {
    self.title = title
    self.facts = facts
    self.metrics = metrics
    self.bestEpoch = bestEpoch
    self.evaluation = evaluation
    self.arguments = arguments
    self.decoder = decoder
  }

  /// Writes the page.
  ///
  /// An image that is shown and cannot be read any more is replaced by a box with its name.
  ///
  /// - Parameter write: is given the text piece by piece.
  /// - Throws: what `write` throws.
  public func writeHTML(to write: (String) throws -> Void) rethrows {
    try write(HTMLPage.head(title: title, style: ReportStyle.rules))
    try write("<h1>\(HTMLText.escaped(title))</h1>\n")
    try write(factList)
    try write(RunCurves(metrics: metrics, bestEpoch: bestEpoch, evaluation: evaluation).html)
    if let evaluation {
      try write(ConfusionSection(evaluation).html)
      try write(ClassSection(evaluation).html)
      try MistakeSection(evaluation, decoder: decoder).write(to: write)
    }
    try write(argumentTable)
    try write(HTMLPage.foot)
  }

  private var factList: String {
    var all = facts
    if let evaluation {
      all.append(("classes", HTMLText.count(evaluation.classes.count)))
      all.append(("validation images", HTMLText.count(evaluation.imageCount)))
    }
    if let best = metrics.last(where: { $0.epoch == bestEpoch }) {
      all.append(("best top-1", "\(HTMLText.percent(best.top1)) in epoch \(best.epoch)"))
    }
    if !metrics.isEmpty {
      all.append(("epochs", HTMLText.count(metrics.count)))
      let seconds = metrics.map(\.seconds).reduce(0, +)
      all.append(("time", Text.duration(seconds: seconds)))
    }
    let items = all.map { name, value in
      "<div><dt>\(HTMLText.escaped(name))</dt><dd>\(HTMLText.escaped(value))</dd></div>"
    }
    return items.isEmpty ? "" : "<dl>\(items.joined())</dl>\n"
  }

  private var argumentTable: String {
    guard !arguments.isEmpty else { return "" }
    let rows = arguments.map { name, value in
      "<tr><th scope=\"row\">\(HTMLText.escaped(name))</th><td>\(HTMLText.escaped(value))</td></tr>\n"
    }
    return "<h2>Arguments of the run</h2>\n<table class=\"plain arguments\"><tbody>\n"
      + rows.joined() + "</tbody></table>\n"
  }
}
