/// The order of an epoch's samples, and the random decisions for each.
///
/// It can be encoded, so that another program can train on the same samples.
public struct EpochPlan: Sendable, Hashable, Codable {
  /// The indices of the samples in the folder, in the order of the epoch.
  public var order: [Int]
  /// The random decisions for each sample; nil if they are drawn when an image is decoded.
  public var decisions: [ImageTransform.Decisions]?

  /// Creates a plan.
  public init(order: [Int], decisions: [ImageTransform.Decisions]? = nil) {
    self.order = order
    self.decisions = decisions
  }
}
