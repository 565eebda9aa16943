internal import CkptStateDicts

/// Finds the embedding that a language model ties its output head to, for files that do not store
/// the head.
enum TiedHeads {
  /// For each head's name, the names of the embeddings it may be tied to; both names follow the
  /// same key prefix.
  private static let embeddings: [(head: String, embeddings: [String])] = [
    (
      "lm_head.weight",
      [
        "model.embed_tokens.weight", "model.language_model.embed_tokens.weight",
        "transformer.wte.weight", "wte.weight", "backbone.embeddings.weight", "shared.weight",
        "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "embed_tokens.weight",
      ]
    ),
    ("output.weight", ["model.tok_embeddings.weight"]),
    ("cls.predictions.decoder.weight", ["bert.embeddings.word_embeddings.weight"]),
    ("lm_head.decoder.weight", ["roberta.embeddings.word_embeddings.weight"]),
    ("vocab_projector.weight", ["distilbert.embeddings.word_embeddings.weight"]),
    ("encoder.embed_tokens.weight", ["shared.weight"]),
    ("decoder.embed_tokens.weight", ["shared.weight"]),
  ]

  /// Whether a key names an output head that may be tied.
  static func isHead(_ key: String) -> Bool {
    embeddings.contains { prefix(of: key, $0.head) != nil }
  }

  /// The key of the embedding that replaces the missing head; nil if `missing` names no such head,
  /// or the state dict has no such embedding.
  static func key(for missing: String, in stateDict: StateDict) -> String? {
    for (head, names) in embeddings {
      guard let prefix = prefix(of: missing, head) else { continue }
      let found = names.map { prefix + $0 }.first { stateDict[$0] != nil }
      if let found { return found }
    }
    return nil
  }

  /// The part of a key before the head's name, such as `model.` with its dot; nil if the key does
  /// not end with the head's name.
  private static func prefix(of key: String, _ head: String) -> String? {
    if key == head { return "" }
    guard key.hasSuffix("." + head) else { return nil }
    return String(key.dropLast(head.count))
  }
}
