internal import CkptText
public import ImageData

/// The `report.html` of a run: its options, the metrics of its epochs, and the evaluation of the
/// best weights. The page needs no network and no other file.
public struct RunReport: Sendable {
  /// The title of the page, such as the name of the model.
  public var title: String
  /// Names and values at the top of the page, in this order, such as the number of images. The
  /// report adds the numbers of classes and validation images, the best accuracy, and the time.
  public var facts: [(name: String, value: String)]
  /// The metrics of the epochs, in order.
  public var metrics: [EpochMetrics]
  /// The number of the best epoch, counted from 1; nil for none.
  public var bestEpoch: Int?
  /// The evaluation of the best weights on the validation images; nil if it is not known.
  public var evaluation: Evaluation?
  /// The names and values of the options, in this order.
  public var arguments: [(name: String, value: String)]
  /// The decoder for the images in the report: that of the run.
  public var decoder: ImageDecoder

  /// Creates a report.
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

  /// Writes the HTML page.
  ///
  /// If an image to be shown cannot be read, a box with its name is shown instead.
  ///
  /// - Parameter write: is called with the text piece by piece.
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
      "<tr><th scope=\"row\">\(HTMLText.escaped(name))</th>"
        + "<td>\(HTMLText.escaped(value))</td></tr>\n"
    }
    return "<h2>Arguments of the run</h2>\n<table class=\"plain arguments\"><tbody>\n"
      + rows.joined() + "</tbody></table>\n"
  }
}
