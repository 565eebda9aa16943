/// A parsed key of an adapter's file, in any of the forms that peft, diffusers, and kohya's scripts
/// write.
struct LowRankKey: Equatable {
  /// The role of the tensor.
  enum Role: Equatable {
    /// The matrix of shape [rank, inputs]: `lora_A`, `lora_down`, `lora.down`, `lora_embedding_A`.
    case down
    /// The matrix of shape [outputs, rank]: `lora_B`, `lora_up`, `lora.up`, `lora_embedding_B`.
    case up
    /// A vector that is added, times the scale, to the module's bias: `lora_B.bias`.
    case bias
    /// The numerator of the module's scale.
    case alpha
    /// A full parameter that replaces the base's. Tied parameters keep theirs, since peft's
    /// `modules_to_save` are copies.
    case whole
    /// A full parameter of a module that the adapter wraps (`base_layer`). Tied parameters are
    /// replaced, too.
    case wrapped
    /// The original parameter of a module of `modules_to_save` (`original_module`).
    case original
    /// A tensor that is used by training only.
    case training
    /// A tensor that is not supported, with the name of its method.
    case unsupported(String)
  }

  /// The module's name without peft's wrappers; for full and unsupported parameters, the
  /// parameter's name.
  let name: String
  let role: Role
  /// Whether the matrices are an embedding's, whose weight gets the transposed product.
  var isEmbedding = false
  /// The adapter's name, if the key has one.
  var adapter: String?

  private static let matrices: [String: (role: Role, isEmbedding: Bool)] = [
    "lora_A": (.down, false), "lora_B": (.up, false), "lora_down": (.down, false),
    "lora_up": (.up, false), "lora_embedding_A": (.down, true), "lora_embedding_B": (.up, true),
  ]
  private static let others: [(prefix: String, name: String)] = [
    ("lora_magnitude_vector", "DoRA"), ("dora_scale", "DoRA"), ("hada_", "LoHa"),
    ("lokr_", "LoKr"), ("lora_mid", "a CP-decomposed convolution"), ("oft_", "OFT"),
    ("lora_diag", "KaSA"), ("token_adapter", "trainable_token_indices"),
    ("trainable_tokens", "trainable_token_indices"),
  ]
  /// The prefixes of the module names that kohya's scripts write.
  static let flatPrefixes = [
    "lora_unet_", "lora_te1_", "lora_te2_", "lora_te3_", "lora_te_", "lora_transformer_",
  ]

  /// Parses a key.
  init(_ key: String) {
    var parts = Self.withoutWrapper(key).split(separator: ".", omittingEmptySubsequences: false)
      .map(String.init)
    func joined(_ parts: some Sequence<String>) -> String { parts.joined(separator: ".") }
    if let other = Self.others.first(where: { other in
      parts.contains { $0.hasPrefix(other.prefix) }
    }) {
      self.init(name: joined(parts), role: .unsupported(other.name))
      return
    }
    if parts.contains(where: {
      $0.hasPrefix("lora_velora_") || $0.hasPrefix("lora_monteclora_")
    }) {
      self.init(name: joined(parts), role: .training)
      return
    }
    if let index = parts.lastIndex(where: { Self.matrices[$0] != nil }),
      let matrix = Self.matrices[parts[index]]
    {
      var rest = parts[(index + 1)...]
      let last = rest.last.flatMap { ["weight", "bias"].contains($0) ? rest.popLast() : nil }
      let isBias = last == "bias"
      guard rest.count <= 1, !isBias || matrix.role == .up else {
        self.init(name: joined(parts), role: .unsupported("an unknown form of key"))
        return
      }
      self.init(
        name: joined(parts[..<index]), role: isBias ? .bias : matrix.role,
        isEmbedding: matrix.isEmbedding, adapter: rest.last)
      return
    }
    if let (module, role) = Self.diffusers(parts) {
      self.init(name: module, role: role)
      return
    }
    if parts.contains(where: { part in
      part.hasPrefix("lora_") && !Self.flatPrefixes.contains { part.hasPrefix($0) }
    }) {
      self.init(name: joined(parts), role: .unsupported("an unknown form of key"))
      return
    }
    if parts.contains("base_layer") {
      parts.removeAll { $0 == "base_layer" }
      self.init(name: joined(parts), role: .wrapped)
      return
    }
    if parts.contains("original_module") {
      parts.removeAll { $0 == "original_module" }
      self.init(name: joined(parts), role: .original)
      return
    }
    if let index = parts.firstIndex(of: "modules_to_save") {
      if index + 2 < parts.count, parts[index + 1] == "default" { parts.remove(at: index + 1) }
      parts.remove(at: index)
    }
    self.init(name: joined(parts), role: .whole)
  }

  private init(name: String, role: Role, isEmbedding: Bool = false, adapter: String? = nil) {
    self.name = name
    self.role = role
    self.isEmbedding = isEmbedding
    self.adapter = adapter
  }

  /// Parses diffusers' own forms, and alpha: `M.lora.down.weight`, `M.lora_linear_layer.up.weight`,
  /// and for attention processors `M.processor.to_q_lora.down.weight`; nil for other keys.
  private static func diffusers(_ parts: [String]) -> (module: String, role: Role)? {
    var parts = parts
    let role: Role
    switch parts.suffix(2) {
    case ["down", "weight"]: role = .down
    case ["up", "weight"]: role = .up
    default:
      guard parts.count > 1, parts.last == "alpha" else { return nil }
      role = .alpha
    }
    parts.removeLast(role == .alpha ? 1 : 2)
    guard let last = parts.last else { return nil }
    if last == "lora" || last == "lora_linear_layer" {
      parts.removeLast()
    } else if last.hasSuffix("_lora"), last.hasPrefix("to_") {
      parts.removeLast()
      let projection = String(last.dropFirst("to_".count).dropLast("_lora".count))
      if parts.last == "processor" { parts.removeLast() }
      if parts.last == "self_attn" {
        parts.append(projection + "_proj")
      } else {
        parts += projection == "out" ? ["to_out", "0"] : ["to_" + projection]
      }
    } else if role != .alpha {
      return nil
    }
    return (parts.joined(separator: "."), role)
  }

  /// The name without the prefix that peft adds to a model's own names.
  private static func withoutWrapper(_ name: String) -> Substring {
    for prefix in ["base_model.model.", "base_model."] where name.hasPrefix(prefix) {
      return name.dropFirst(prefix.count)
    }
    return name[...]
  }
}
