/// The contents of a run's `metrics.csv`: a row for each epoch, as in RFC 4180.
public struct MetricsTable: Sendable, Hashable {
  /// The metrics of the epochs, in order.
  public var metrics: [EpochMetrics]

  /// Creates a table.
  public init(metrics: [EpochMetrics]) { self.metrics = metrics }

  /// The text: the header `epoch,seconds,train_loss,val_loss,top1,top5,lr_0,…` and the rows. Lines
  /// end with CR LF.
  ///
  /// Numbers are written as by Python's `repr`, also `nan` and `inf`, so that `float` returns the
  /// same numbers. If an epoch has fewer parameter groups than another, its last fields are empty.
  public var text: String {
    let groupCount = metrics.map(\.learningRates.count).max() ?? 0
    let header =
      ["epoch", "seconds", "train_loss", "val_loss", "top1", "top5"]
      + (0..<groupCount).map { "lr_\($0)" }
    let rows = metrics.map { epoch in
      let numbers =
        [epoch.seconds, epoch.trainLoss, epoch.validationLoss, epoch.top1, epoch.top5]
        + epoch.learningRates
      let missing = groupCount - epoch.learningRates.count
      // Swift and Python print the same shortest text.
      return ["\(epoch.epoch)"] + numbers.map { $0.isNaN ? "nan" : "\($0)" }
        + [String](repeating: "", count: missing)
    }
    return ([header] + rows).map { $0.joined(separator: ",") + "\r\n" }.joined()
  }
}
