/// Finds what a module of an adapter is called in a base.
///
/// An adapter's file may name a module as the base does, without what the base puts before all its names, with the name
/// of the pipeline's part before it (`unet.`, `text_encoder_2.`), or as kohya's scripts do, with `_` for each dot.
struct ModuleNames {
  /// The keys by each of their tails: `a.b.weight` by itself, `b.weight` and `weight`.
  private var byTail: [String: [String]] = [:]
  /// The keys of weights by each tail of their module's name, with `_` for each dot.
  private var flat: [String: [String]] = [:]

  /// A part of a pipeline that a name lies in.
  private enum Part: Equatable {
    /// What removes the noise: a U-Net or a transformer.
    case denoiser
    /// A text encoder, by number.
    case encoder(Int)
  }

  /// What diffusers and others put before the names of each part of a pipeline.
  private static let parts: [(prefix: String, part: Part)] = [
    ("unet.", .denoiser), ("transformer.", .denoiser), ("diffusion_model.", .denoiser),
    ("model.diffusion_model.", .denoiser), ("text_encoder.", .encoder(1)),
    ("text_encoder_2.", .encoder(2)), ("text_encoder_3.", .encoder(3)),
  ]
  private static let flatParts: [(prefix: String, part: Part)] = [
    ("lora_unet_", .denoiser), ("lora_transformer_", .denoiser), ("lora_te_", .encoder(1)),
    ("lora_te1_", .encoder(1)), ("lora_te2_", .encoder(2)), ("lora_te3_", .encoder(3)),
  ]
  /// What in a base's name tells the part that it lies in: dotted parts, in the order in which they are looked for.
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
      // No model nests its modules deeper, and a key of dots alone must not fill the memory.
      let dots = key.indices.filter { key[$0] == "." }.suffix(32)
      for tail in [key[...]] + dots.map({ key[key.index(after: $0)...] }) {
        byTail[String(tail), default: []].append(key)
        guard tail.hasSuffix(".weight") else { continue }
        let module = tail.dropLast(".weight".count).map { $0 == "." ? "_" : $0 }
        flat[String(module), default: []].append(key)
      }
    }
  }

  /// The keys of the weight that a module may mean: none or several, unless it is clear.
  func keys(of module: String) -> [String] {
    for (prefix, part) in Self.flatParts where module.hasPrefix(prefix) {
      return (flat[String(module.dropFirst(prefix.count))] ?? []).filter { key in
        Self.part(of: key).map { $0 == part } ?? true
      }
    }
    return keys(ofParameter: module + ".weight")
  }

  /// The keys that a parameter's name may mean: itself, or else those that end so.
  func keys(ofParameter name: String) -> [String] {
    let found = byTail[name] ?? []
    if found.contains(name) { return [name] }
    if !found.isEmpty { return found }
    for (prefix, part) in Self.parts where name.hasPrefix(prefix) {
      var rest = String(name.dropFirst(prefix.count))
      // transformers' text models have lost a level; adapters may be older.
      if byTail[rest] == nil, rest.hasPrefix("text_model.") {
        rest = String(rest.dropFirst("text_model.".count))
      }
      let found = byTail[rest] ?? []
      if found.contains(rest) { return [rest] }
      return found.filter { key in Self.part(of: key).map { $0 == part } ?? true }
    }
    return []
  }

  /// The part of a pipeline that a key of the base lies in, if its name tells.
  private static func part(of key: String) -> Part? {
    let dotted = "." + key
    return marks.first { dotted.contains(".\($0.mark).") }?.part
  }
}
