public import CkptPlatform

/// A problem with a model's weights.
public struct WeightProblem: Sendable, Hashable {
  /// The kind of problem.
  public enum Kind: String, Sendable, CaseIterable {
    /// Keys of the model that the state dict lacks.
    case missingKeys = "missing_keys"
    /// Keys of the state dict that the model lacks.
    case unexpectedKeys = "unexpected_keys"
    /// Tensors of another shape than the model's.
    case shapeMismatch = "shape_mismatch"
    /// Batch normalizations without running mean or variance.
    case missingStatistics = "missing_batch_norm_statistics"
    /// Batch normalizations whose running statistics are still those of a new layer.
    case untouchedStatistics = "untouched_batch_norm_statistics"
    /// Elements that are NaN or infinite.
    case notFinite = "not_finite"
    /// Weights whose elements are all zero.
    case zeros = "zeros"
    /// Weights that have a library's initial distribution.
    case initialization = "default_initialization"
    /// Weights of queries and keys that seem to be swapped.
    case swappedQueryAndKey = "swapped_query_and_key"
    /// Outputs that are NaN or infinite.
    case forward = "forward_not_finite"
    /// A loss for random labels that differs much from that of a uniform guess.
    case chance = "loss_not_at_chance"
    /// Gradients that are NaN or infinite.
    case gradientNotFinite = "gradient_not_finite"
    /// Parameters whose gradient is unexpectedly zero.
    case gradientZero = "gradient_zero"
    /// A loss that does not decrease when the model is trained on one batch.
    case loss = "loss_does_not_fall"
  }

  /// The kind of problem.
  public let kind: Kind
  /// The affected keys; empty if the problem concerns the whole model.
  public let keys: [String]
  /// A short description of the problem, without the keys.
  public let description: String
  /// A suggestion for how to fix it; nil if there is none.
  public let remedy: Remedy?

  init(_ kind: Kind, _ description: String, keys: [String] = [], remedy: Remedy? = nil) {
    self.kind = kind
    self.keys = keys
    self.description = description
    self.remedy = remedy
  }
}
