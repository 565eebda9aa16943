/// What an epoch shows: which pictures in which order, and what chance decides for each.
///
/// Written down, it lets another program train on the same samples.
public struct EpochPlan: Sendable, Hashable, Codable {
  /// The places of the samples in their folder.
  public var order: [Int]
  /// What chance decides for each; none where it is drawn when the picture is decoded.
  public var decisions: [ImageTransform.Decisions]?

  /// A plan.
  public init(order: [Int], decisions: [ImageTransform.Decisions]? = nil) {
    self.order = order
    self.decisions = decisions
  }
}
