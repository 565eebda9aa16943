internal import CkptStateDicts

/// What merging does with the fields of peft's `LoraConfig`: every one is honored, decides nothing here, or is refused.
///
/// The one place that knows them; those of peft 0.21. `make interop` goes over the fields of the class itself.
enum ConfigurationField {
  /// What becomes of a field.
  enum Rule {
    /// ``LowRankAdapter/Configuration`` reads it.
    case honored
    /// Training or loading looks at it; the merged weights are the same whatever it says.
    case decidesNothing
    /// It changes the merged weights in a way that is not computed here, if it is set. Python takes `[]`, `{}`, 0 and
    /// the empty text for not set.
    case refusedIfTrue(because: String)
    /// The same, but only `null` is not set: an empty object is a configuration whose values are the defaults.
    case refusedUnlessNull(because: String)
  }

  static let rules: [String: Rule] = [
    // The size of the product.
    "peft_type": .honored, "r": .honored, "lora_alpha": .honored, "use_rslora": .honored,
    "rank_pattern": .honored, "alpha_pattern": .honored,
    // Which modules; the file's keys say it, and must not say otherwise.
    "target_modules": .honored, "exclude_modules": .honored, "modules_to_save": .honored,
    "layers_to_transform": .honored, "layers_pattern": .honored,
    // Which biases there are; the file's keys say it.
    "bias": .honored, "lora_bias": .honored,
    "fan_in_fan_out": .honored, "init_lora_weights": .honored,
    // How weights begin: the file has what became of them. What changes the base is `init_lora_weights`.
    "eva_config": .decidesNothing, "corda_config": .decidesNothing,
    "lora_ga_config": .decidesNothing, "loftq_config": .decidesNothing,
    // How training goes.
    "lora_dropout": .decidesNothing, "inference_mode": .decidesNothing,
    "velora_config": .decidesNothing, "monteclora_config": .decidesNothing,
    "runtime_config": .decidesNothing,
    // Whether modules share their matrices: the file has them under each name.
    "ensure_weight_tying": .honored,
    // Where it comes from.
    "task_type": .decidesNothing, "base_model_name_or_path": .decidesNothing,
    "revision": .decidesNothing, "auto_mapping": .decidesNothing, "peft_version": .decidesNothing,
    // Only beside `megatron_config` and `use_qalora`.
    "megatron_core": .decidesNothing, "qalora_group_size": .decidesNothing,
    // Other adapters than W + s B A.
    "use_dora": .refusedIfTrue(because: "DoRA scales each row of the sum"),
    "alora_invocation_tokens": .refusedIfTrue(
      because: "an activated LoRA counts from some token on; peft does not merge it, either"),
    "kasa_config": .refusedUnlessNull(because: "KaSA cuts singular values off the base"),
    "use_bdlora": .refusedUnlessNull(because: "block-diagonal matrices; peft does not merge them"),
    "arrow_config": .refusedUnlessNull(because: "a router chooses among adapters for each token"),
    "use_qalora": .refusedIfTrue(because: "QALoRA adapts quantized weights by groups of inputs"),
    "target_parameters": .refusedIfTrue(
      because: "matrices of several experts that share one parameter are not supported"),
    "trainable_token_indices": .refusedIfTrue(
      because: "rows of an embedding that were trained by themselves are not supported"),
    "layer_replication": .refusedIfTrue(
      because: "the adapted model has other layers than the base"),
    "megatron_config": .refusedUnlessNull(because: "Megatron's layers are split over processes"),
  ]

  /// Whether Python takes a value for false.
  static func isFalse(_ value: PlainValue) -> Bool {
    switch value {
    case .none, .bool(false), .int(0): true
    case .float(let number): number == 0
    case .string(let text): text.isEmpty
    case .list(let items), .tuple(let items): items.isEmpty
    case .dict(let entries): entries.isEmpty
    default: false
    }
  }
}
