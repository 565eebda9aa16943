/// The text of a run's `metrics.csv`: a row an epoch, in the form of RFC 4180.
public struct MetricsTable: Sendable, Hashable {
  /// The epochs, in order.
  public var metrics: [EpochMetrics]

  /// A table of these epochs.
  public init(metrics: [EpochMetrics]) { self.metrics = metrics }

  /// The header `epoch,seconds,train_loss,val_loss,top1,top5,lr_0,…` and the rows, each line ended by CR LF.
  ///
  /// Numbers stand as Python's `repr` prints them, so that `float` reads them back exactly: `nan` and `inf` are among
  /// them. Where an epoch has fewer parameter groups than another, its last fields are empty.
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
      // Swift prints numbers as Python does.
      return ["\(epoch.epoch)"] + numbers.map { $0.isNaN ? "nan" : "\($0)" }
        + [String](repeating: "", count: missing)
    }
    return ([header] + rows).map { $0.joined(separator: ",") + "\r\n" }.joined()
  }
}
