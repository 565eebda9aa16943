internal import CkptStateDicts

/// How merging treats each field of peft's `LoraConfig`: it is used, has no influence on the merged
/// weights, or is refused.
///
/// This is the only list of them; it has the fields of peft 0.21. `make interop` checks it against
/// the class itself.
enum ConfigurationField {
  /// How a field is treated.
  enum Rule {
    /// ``LowRankAdapter/Configuration`` reads it.
    case honored
    /// The field is used by training or loading only; the merged weights do not depend on it.
    case decidesNothing
    /// The field changes the merged weights in a way that is not supported; refused if its value is
    /// true in Python, where `[]`, `{}`, 0, and the empty string are false.
    case refusedIfTrue(because: String)
    /// As `refusedIfTrue`, but every value except `null` is refused: an empty object is a
    /// configuration with default values.
    case refusedUnlessNull(because: String)
  }

  /// The treatment of each known field.
  static let rules: [String: Rule] = [
    // The size of the product.
    "peft_type": .honored, "r": .honored, "lora_alpha": .honored, "use_rslora": .honored,
    "rank_pattern": .honored, "alpha_pattern": .honored,
    // Which modules are adapted; must agree with the file's keys.
    "target_modules": .honored, "exclude_modules": .honored, "modules_to_save": .honored,
    "layers_to_transform": .honored, "layers_pattern": .honored,
    // Which biases exist; the file's keys tell.
    "bias": .honored, "lora_bias": .honored,
    "fan_in_fan_out": .honored, "init_lora_weights": .honored,
    // How weights are initialized; the file has the trained ones. Only `init_lora_weights` changes
    // the base.
    "eva_config": .decidesNothing, "corda_config": .decidesNothing,
    "lora_ga_config": .decidesNothing, "loftq_config": .decidesNothing,
    // How training runs.
    "lora_dropout": .decidesNothing, "inference_mode": .decidesNothing,
    "velora_config": .decidesNothing, "monteclora_config": .decidesNothing,
    "runtime_config": .decidesNothing,
    // Whether modules share matrices; the file has them under each name.
    "ensure_weight_tying": .honored,
    // Origin and task.
    "task_type": .decidesNothing, "base_model_name_or_path": .decidesNothing,
    "revision": .decidesNothing, "auto_mapping": .decidesNothing, "peft_version": .decidesNothing,
    // Used only with `megatron_config` and `use_qalora`.
    "megatron_core": .decidesNothing, "qalora_group_size": .decidesNothing,
    // Adapters other than W + s B A.
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

  /// Whether a value is false in Python.
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
