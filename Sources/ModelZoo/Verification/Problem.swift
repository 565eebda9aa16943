/// One thing that is off about weights.
public struct WeightProblem: Sendable, Hashable {
  /// What kind of thing.
  public enum Kind: String, Sendable, CaseIterable {
    /// Keys of the model that the state dict lacks.
    case missingKeys = "missing_keys"
    /// Keys of the state dict that the model lacks.
    case unexpectedKeys = "unexpected_keys"
    /// Tensors of another shape than the model's.
    case shapeMismatch = "shape_mismatch"
    /// Batch normalisations without running mean or variance.
    case missingStatistics = "missing_batch_norm_statistics"
    /// Batch normalisations whose running statistics no batch has moved.
    case untouchedStatistics = "untouched_batch_norm_statistics"
    /// Elements that are NaN or infinite.
    case notFinite = "not_finite"
    /// Weights that are zero throughout.
    case zeros = "zeros"
    /// Weights as a library begins with them.
    case initialization = "default_initialization"
    /// Queries' and keys' weights that seem to have changed places.
    case swappedQueryAndKey = "swapped_query_and_key"
    /// Outputs that are NaN or infinite.
    case forward = "forward_not_finite"
    /// A loss for random labels that is not near chance.
    case chance = "loss_not_at_chance"
    /// Gradients that are NaN or infinite.
    case gradientNotFinite = "gradient_not_finite"
    /// Parameters that no gradient reaches although it should.
    case gradientZero = "gradient_zero"
    /// A loss that training on one batch does not lower.
    case loss = "loss_does_not_fall"
  }

  /// What kind of thing it is.
  public let kind: Kind
  /// The keys that it is about; none for what concerns the model as a whole.
  public let keys: [String]
  /// What is off, in a few words, without the keys.
  public let description: String
  /// What to do about it, or nil.
  public let hint: String?

  init(_ kind: Kind, _ description: String, keys: [String] = [], hint: String? = nil) {
    self.kind = kind
    self.keys = keys
    self.description = description
    self.hint = hint
  }
}
