internal import CkptStateDicts

/// Which tensor a language model's head is where a file lacks it, since the model ties it to its embedding.
///
/// The names are those of transformers' `_tied_weights_keys`, as mergekit 0.1.5 lists them (`tied_names`).
enum TiedHeads {
  /// The embeddings by the head's name, without what stands before both.
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

  /// Whether a key is a head that may be tied.
  static func isHead(_ key: String) -> Bool {
    embeddings.contains { prefix(of: key, $0.head) != nil }
  }

  /// The key that stands for a missing head in a model; nil if it is none, or the model has no such embedding.
  static func key(for missing: String, in stateDict: StateDict) -> String? {
    for (head, names) in embeddings {
      guard let prefix = prefix(of: missing, head) else { continue }
      let found = names.map { prefix + $0 }.first { stateDict[$0] != nil }
      if let found { return found }
    }
    return nil
  }

  /// What stands before a head's name in a key; nil if the key is another.
  private static func prefix(of key: String, _ head: String) -> String? {
    if key == head { return "" }
    guard key.hasSuffix("." + head) else { return nil }
    return String(key.dropLast(head.count))
  }
}
