public import TrainingCore

/// The common part of the causal language models of transformers: a trunk from tokens to hidden
/// states, and logits that are products of hidden states with the rows of a matrix, which may be
/// the token embeddings.
public class CausalLanguageModel: Module {
  private let trunk: Module
  private let trunkKey: String?
  private let head: Parameter
  private let hasHead: Bool

  /// - Parameters:
  ///   - trunk: computes hidden states of shape [batch, tokens, width].
  ///   - trunkKey: the key of the trunk; nil if its parts' keys have no prefix.
  ///   - embeddings: the token embeddings, of shape [vocabulary, width].
  ///   - hasHead: whether there is a key `lm_head.weight`.
  ///   - isTied: whether that is the token embeddings.
  init(
    _ trunk: Module, under trunkKey: String?, embeddings: Parameter, hasHead: Bool, isTied: Bool,
    from random: RandomSource
  ) throws {
    self.trunk = trunk
    self.trunkKey = trunkKey
    self.hasHead = hasHead
    head =
      isTied || !hasHead
      ? embeddings
      : try Parameter(
        embeddings.shape, .normal(mean: 0, standardDeviation: 0.02), from: random)
  }

  /// The submodules with their keys.
  override public var members: [(key: String, member: Member)] {
    let inner = trunkKey.map { [($0, Member.module(trunk))] } ?? trunk.members
    return hasHead
      ? inner + [("lm_head", .module(ModuleDict([("weight", .parameter(head))])))] : inner
  }

  /// Computes the logits of the token after each token.
  ///
  /// - Parameter input: token indices of shape [batch, tokens], of type int64.
  /// - Returns: a variable of shape [batch, tokens, vocabulary].
  /// - Throws: `TrainingError` if the shape of `input` does not fit, or an index is not below the
  ///   vocabulary's size.
  override public func forward(_ input: Variable) throws -> Variable {
    try trunk(input).linear(head)
  }
}
