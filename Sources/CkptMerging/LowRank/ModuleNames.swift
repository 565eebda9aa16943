internal import CkptText
/// Finds the base's keys for the modules of an adapter.
///
/// An adapter's file may name a module as the base does, without the base's common prefix, with the
/// name of the pipeline's part in front (`unet.`, `text_encoder_2.`), or as kohya's scripts do,
/// with `_` in place of each dot.
struct ModuleNames {
  /// The keys by each of their suffixes at a dot: `a.b.weight` by `a.b.weight`, `b.weight`, and
  /// `weight`.
  private var byTail: ExactDictionary<[String]> = [:]
  /// The keys of weights by each suffix of their module's name, with `_` in place of each dot.
  private var flat: ExactDictionary<[String]> = [:]

  /// A part of a diffusion pipeline.
  private enum Part: Equatable {
    /// The denoiser: a U-Net or a transformer.
    case denoiser
    /// A text encoder, numbered from 1.
    case encoder(Int)
  }

  /// The prefixes that diffusers and others use for each part of a pipeline.
  private static let parts: [(prefix: String, part: Part)] = [
    ("unet.", .denoiser), ("transformer.", .denoiser), ("diffusion_model.", .denoiser),
    ("model.diffusion_model.", .denoiser), ("text_encoder.", .encoder(1)),
    ("text_encoder_2.", .encoder(2)), ("text_encoder_3.", .encoder(3)),
  ]
  private static let flatParts: [(prefix: String, part: Part)] = [
    ("lora_unet_", .denoiser), ("lora_transformer_", .denoiser), ("lora_te_", .encoder(1)),
    ("lora_te1_", .encoder(1)), ("lora_te2_", .encoder(2)), ("lora_te3_", .encoder(3)),
  ]
  /// Dotted components in a base's key that identify its part, in the order in which they are
  /// searched.
  private static let marks: [(mark: String, part: Part)] = [
    ("conditioner.embedders.0", .encoder(1)), ("conditioner.embedders.1", .encoder(2)),
    ("cond_stage_model", .encoder(1)), ("text_encoder", .encoder(1)),
    ("text_encoder_2", .encoder(2)), ("text_encoder_3", .encoder(3)),
    ("text_encoders.clip_l", .encoder(1)), ("text_encoders.clip_g", .encoder(2)),
    ("text_encoders.t5xxl", .encoder(3)), ("model.diffusion_model", .denoiser),
    ("diffusion_model", .denoiser), ("unet", .denoiser),
  ]

  init(_ keys: [String]) {
    for key in keys {
      // A limit on the depth, since a key made of dots only would use quadratic memory.
      let dots = key.indices.filter { key[$0] == "." }.suffix(32)
      for tail in [key[...]] + dots.map({ key[key.index(after: $0)...] }) {
        byTail[String(tail), default: []].append(key)
        guard tail.hasSuffix(".weight") else { continue }
        let module = tail.dropLast(".weight".count).map { $0 == "." ? "_" : $0 }
        flat[String(module), default: []].append(key)
      }
    }
  }

  /// The keys of the weights that a module may refer to: exactly one if it is unambiguous.
  func keys(of module: String) -> [String] {
    for (prefix, part) in Self.flatParts where module.hasPrefix(prefix) {
      return (flat[String(module.dropFirst(prefix.count))] ?? []).filter { key in
        Self.part(of: key).map { $0 == part } ?? true
      }
    }
    return keys(ofParameter: module + ".weight")
  }

  /// The keys that a parameter's name may refer to: the same key, or else all keys that end with
  /// the name.
  func keys(ofParameter name: String) -> [String] {
    let found = byTail[name] ?? []
    if found.contains(name) { return [name] }
    if !found.isEmpty { return found }
    for (prefix, part) in Self.parts where name.hasPrefix(prefix) {
      var rest = String(name.dropFirst(prefix.count))
      // Newer versions of transformers' text models lack this level; adapters may be older.
      if byTail[rest] == nil, rest.hasPrefix("text_model.") {
        rest = String(rest.dropFirst("text_model.".count))
      }
      let found = byTail[rest] ?? []
      if found.contains(rest) { return [rest] }
      return found.filter { key in Self.part(of: key).map { $0 == part } ?? true }
    }
    return []
  }

  /// The part of a pipeline that a key of the base belongs to; nil if its name does not tell.
  private static func part(of key: String) -> Part? {
    let dotted = "." + key
    return marks.first { dotted.contains(".\($0.mark).") }?.part
  }
}
