internal import CkptText
internal import OrderedCollections
internal import CkptTensors

/// The weights that are codes with scales beside them, as the usual quantizers write them.
struct QuantizedWeights {
  private let stateDict: StateDict
  /// For each weight with bitsandbytes' `quant_state`, the keys of it.
  private var states: [ExactText: [String]] = [:]
  /// For each module, its keys; only for modules with keys that need it.
  private var siblings: [ExactText: [String]] = [:]

  init(_ stateDict: StateDict) {
    self.stateDict = stateDict
    for key in stateDict.entries.keys {
      let text = key.text
      if let range = text.firstRange(of: ".quant_state.") {
        states[ExactText(String(text[..<range.lowerBound])), default: []].append(text)
      }
      if text.hasSuffix(".W_q") || text == "W_q" {
        siblings[ExactText(String(text.dropLast("W_q".count)))] = []
      }
    }
    guard !siblings.isEmpty else { return }
    for key in stateDict.entries.keys {
      let module = ExactText(Self.module(of: key.text))
      siblings[module]?.append(key.text)
    }
  }

  /// The prefix of a key up to and including its last dot; empty for the root.
  private static func module(of key: String) -> String {
    key.lastIndex(of: ".").map { String(key[...$0]) } ?? ""
  }

  /// The weights that were found, in order.
  var weights: [DerivedWeight] {
    stateDict.entries.compactMap { key, value in
      guard let codes = value.tensor else { return nil }
      let module = Self.module(of: key.text)
      let name = String(key.text.dropFirst(module.count))
      return byName(key.text, module, name) ?? bySuffix(key.text, codes)
        ?? byType(key.text, module, name, codes)
    }
  }

  private func weight(
    _ family: String, _ plain: String, codes: String, scales: [String], others: [String] = []
  ) -> DerivedWeight? {
    let scales = scales.filter { stateDict.value(for: $0) != nil }
    guard !scales.isEmpty else { return nil }
    var (parts, seen) = ([codes], Set([ExactText(codes)]))
    for key in scales + others
    where stateDict.value(for: key) != nil && seen.insert(ExactText(key)).inserted {
      parts.append(key)
    }
    return DerivedWeight(
      kind: .quantized, family: family, key: plain, parts: parts, start: codes,
      obstacle: "quantized codes cannot be made plain yet")
  }

  /// Codes whose own name says what they are.
  private func byName(_ key: String, _ module: String, _ name: String) -> DerivedWeight? {
    func all(_ names: String...) -> [String] { names.map { module + $0 } }
    let plain = module + "weight"
    switch name {
    case "qweight":
      let family = stateDict.value(for: module + "g_idx") == nil ? "AWQ or GPTQ" : "GPTQ"
      return weight(
        family, plain, codes: key, scales: all("scales", "qzeros", "weight_scales", "scale"),
        others: all("g_idx", "scales_and_zeros"))
    case "W_q":
      let own = (siblings[ExactText(module)] ?? []).filter { $0 != module + "bias" }
      return weight("HQQ", plain, codes: key, scales: all("scale", "meta"), others: own)
    case "q_weight":
      return weight(
        "EXL2", plain, codes: key, scales: all("q_scale", "q_scale_max"),
        others: all("q_groups", "q_group_map", "q_perm", "q_invperm"))
    case "codes":
      return weight("AQLM", plain, codes: key, scales: all("codebooks"), others: all("scales"))
    case "B":
      guard stateDict[key]?.dtype == .int32 else { return nil }
      return weight("Marlin", plain, codes: key, scales: all("s"))
    default: return nil
    }
  }

  /// Codes that lie under the weight's name and a word behind it.
  private func bySuffix(_ key: String, _ codes: Tensor) -> DerivedWeight? {
    func form(_ word: String, _ family: String, _ names: [String], _ others: [String] = [])
      -> DerivedWeight?
    {
      guard key.hasSuffix(word) else { return nil }
      let stem = String(key.dropLast(word.count))
      // quanto's and torchao's words are attributes of the weight; what separates them stays with
      // them.
      let separator = word.hasPrefix("_") || word.hasPrefix(".") || word.hasPrefix(":")
      let join = { (name: String) in stem + (separator ? String(word.prefix(1)) : "") + name }
      let module = Self.module(of: stem)
      return weight(
        family, stem, codes: key, scales: names.map(join),
        others: others.map(join) + Self.activations.map { module + $0 })
    }
    guard Self.isCode(codes.dtype) else { return nil }
    return form(
      "_packed", "compressed-tensors", ["scale"], ["zero_point", "g_idx", "shape", "global_scale"])
      ?? form("_blocks", "MXFP4", ["scales"])
      ?? form("._data", "quanto", ["_scale"], ["_shift", "_zeropoint"])
      ?? form("_qdata", "torchao", ["scale"], ["zero_point", "act_pre_scale"])
      ?? form(":qdata", "torchao", ["scale"], ["zero_point", "act_pre_scale"])
  }

  /// The names of values that belong to the inputs of a module with codes.
  private static let activations = [
    "input_scale", "input_zero_point", "input_global_scale", "output_scale", "scale_input",
    "input_scale_ub", "activation_scale", "qscale_act", "weight_format", "comfy_quant",
  ]

  /// Types of few bits, which weights of a few bits are kept in.
  private static func isCode(_ type: DType) -> Bool {
    switch type {
    case .float8E4M3FN, .float8E5M2, .float8E4M3FNUZ, .float8E5M2FNUZ, .float4E2M1FNx2, .int8,
      .uint8, .int16, .uint16, .int32, .uint32, .bits8, .bits16, .int4, .uint4:
      true
    default: false
    }
  }

  /// Codes under the weight's own name: their type tells, and the scale beside them.
  private func byType(
    _ key: String, _ module: String, _ name: String, _ codes: Tensor
  ) -> DerivedWeight? {
    let type = codes.dtype
    guard Self.isCode(type), !name.isEmpty else { return nil }
    let inside = ["absmax", "SCB"].map { key + "." + $0 }
    let others =
      [
        key + "_zero_point", key + "_g_idx", key + "_shape", key + ".nested_absmax",
        key + ".quant_map", key + ".nested_quant_map", module + "zero_point",
      ] + (states[ExactText(key)] ?? []) + Self.activations.map { module + $0 }
    if let found = weight("bitsandbytes", key, codes: key, scales: inside, others: others) {
      return found
    }
    var scales = [
      key + "_scale_inv", key + "_scale", key + "_scales", key + "_scale_2",
      key + "_global_scale", module + "scale_" + name, module + "qscale_" + name,
    ]
    // A module's scale without another word is its weight's.
    if name == "weight" {
      if let found = weight(
        "bitsandbytes", key, codes: key, scales: [module + "SCB"], others: others)
      {
        return found
      }
      scales += [module + "scale", module + "scales"]
    }
    let family = type.isFloat ? "\(type.name) with scales" : "\(type.name) codes with scales"
    return weight(family, key, codes: key, scales: scales, others: others)
  }
}
