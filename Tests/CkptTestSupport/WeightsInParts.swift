/// Keys, types and shapes by which files hold weights in several parts, as the libraries write them.
public enum WeightsInParts {
  /// One way to hold the weight of a module `m`.
  public struct Form: Sendable, CustomStringConvertible {
    /// What the form is.
    public let name: String
    /// The kind's raw value.
    public let kind: String
    /// The key that the plain weight would have.
    public let key: String
    /// Key, PyTorch's name of the type, shape.
    public let tensors: [(key: String, type: String, shape: [Int])]
    /// Whether a plain weight can be computed.
    public let isFoldable: Bool
    /// Whether averaging of parts is averaging of parameters.
    public var isLearnedPartwise: Bool { kind == "weight_norm" }
    /// The name.
    public var description: String { name }
    /// The tensor with the weight's name or shape, which merges and adapters would take for the weight.
    public var main: String { tensors[0].key }
  }

  private static func codes(
    _ name: String, _ tensors: [(String, String, [Int])], key: String = "m.weight"
  ) -> Form {
    Form(name: name, kind: "quantized", key: key, tensors: tensors, isFoldable: false)
  }

  private static func foldable(_ name: String, _ kind: String, _ tensors: [(String, String, [Int])])
    -> Form
  {
    Form(name: name, kind: kind, key: "m.weight", tensors: tensors, isFoldable: true)
  }

  /// Codes with their scales.
  public static let quantized: [Form] = [
    codes(
      "float8, weight_scale_inv",
      [("m.weight", "float8_e4m3fn", [4, 8]), ("m.weight_scale_inv", "float32", [1, 1])]),
    codes(
      "float8, weight_scale and input_scale",
      [
        ("m.weight", "float8_e4m3fn", [4, 8]), ("m.weight_scale", "float32", []),
        ("m.input_scale", "float32", []),
      ]),
    codes(
      "float8, scale_weight",
      [("m.weight", "float8_e5m2", [4, 8]), ("m.scale_weight", "float32", [])]),
    codes(
      "float8, qscale_weight",
      [
        ("m.weight", "float8_e4m3fn", [4, 8]), ("m.qscale_weight", "bfloat16", []),
        ("m.qscale_act", "bfloat16", []),
      ]),
    codes(
      "float8 parameter of another name",
      [("m.up_proj", "float8_e4m3fn", [2, 4, 8]), ("m.up_proj_scale_inv", "float32", [2, 1, 1])],
      key: "m.up_proj"),
    codes(
      "float8, scale of the module",
      [("m.weight", "float8_e4m3fn", [4, 8]), ("m.scale", "float32", [1, 1])]),
    codes(
      "int8, weight_scale",
      [("m.weight", "int8", [4, 8]), ("m.weight_scale", "bfloat16", [4, 1])]),
    codes(
      "NVFP4",
      [
        ("m.weight", "uint8", [4, 4]), ("m.weight_scale", "float8_e4m3fn", [4, 1]),
        ("m.weight_scale_2", "float32", []), ("m.input_scale", "float32", []),
      ]),
    codes(
      "GPTQ",
      [
        ("m.qweight", "int32", [1, 4]), ("m.qzeros", "int32", [1, 1]),
        ("m.scales", "float16", [1, 4]), ("m.g_idx", "int32", [8]),
      ]),
    codes(
      "AWQ",
      [
        ("m.qweight", "int32", [8, 1]), ("m.qzeros", "int32", [1, 1]),
        ("m.scales", "float16", [1, 4]),
      ]),
    codes(
      "bitsandbytes, 4 bits",
      [
        ("m.weight", "uint8", [16, 1]), ("m.weight.absmax", "float32", [1]),
        ("m.weight.quant_map", "float32", [16]),
        ("m.weight.quant_state.bitsandbytes__nf4", "uint8", [4]),
      ]),
    codes(
      "bitsandbytes, 4 bits with quantized scales",
      [
        ("m.weight", "uint8", [16, 1]), ("m.weight.absmax", "uint8", [1]),
        ("m.weight.quant_map", "float32", [16]), ("m.weight.nested_absmax", "float32", [1]),
        ("m.weight.nested_quant_map", "float32", [256]),
        ("m.weight.quant_state.bitsandbytes__nf4", "uint8", [4]),
      ]),
    codes(
      "bitsandbytes, 8 bits",
      [
        ("m.weight", "int8", [4, 8]), ("m.SCB", "float32", [4]), ("m.weight_format", "uint8", []),
      ]),
    codes(
      "HQQ",
      [
        ("m.W_q", "uint8", [2, 8]), ("m.scale", "float16", [4, 1]), ("m.zero", "float16", [4, 1]),
        ("m.nbits", "int32", []), ("m.group_size", "int32", []),
      ]),
    codes(
      "compressed-tensors",
      [
        ("m.weight_packed", "int32", [4, 1]), ("m.weight_scale", "bfloat16", [4, 1]),
        ("m.weight_shape", "int64", [2]),
      ]),
    codes(
      "MXFP4",
      [("m.up_proj_blocks", "uint8", [2, 4, 1, 16]), ("m.up_proj_scales", "uint8", [2, 4, 1])],
      key: "m.up_proj"),
    codes(
      "quanto",
      [
        ("m.weight._data", "int8", [4, 8]), ("m.weight._scale", "float32", [4, 1]),
        ("m.input_scale", "float32", []),
      ]),
    codes(
      "EXL2",
      [
        ("m.q_weight", "int32", [2, 4]), ("m.q_scale", "int32", [1, 1]),
        ("m.q_scale_max", "float16", [1]), ("m.q_groups", "int16", [2]),
      ]),
    codes(
      "AQLM",
      [
        ("m.codes", "int16", [4, 1, 2]), ("m.codebooks", "float16", [2, 4, 1, 8]),
        ("m.scales", "float16", [4, 1, 1, 1]),
      ]),
  ]

  /// What `torch.nn.utils` makes and `fold` undoes.
  public static let foldable: [Form] = [
    foldable(
      "weight norm", "weight_norm",
      [("m.weight_v", "float32", [4, 8]), ("m.weight_g", "float32", [4, 1])]),
    foldable(
      "parametrized weight norm", "weight_norm",
      [
        ("m.parametrizations.weight.original1", "float32", [4, 8]),
        ("m.parametrizations.weight.original0", "float32", [4, 1]),
      ]),
    foldable(
      "spectral norm", "spectral_norm",
      [
        ("m.weight_orig", "float32", [4, 8]), ("m.weight_u", "float32", [4]),
        ("m.weight_v", "float32", [8]),
      ]),
    foldable(
      "parametrized spectral norm", "spectral_norm",
      [
        ("m.parametrizations.weight.original", "float32", [4, 8]),
        ("m.parametrizations.weight.0._u", "float32", [4]),
        ("m.parametrizations.weight.0._v", "float32", [8]),
      ]),
    foldable(
      "pruning", "pruning",
      [("m.weight_orig", "float32", [4, 8]), ("m.weight_mask", "float32", [4, 8])]),
    foldable(
      "weight norm, then spectral norm", "parametrized",
      [
        ("m.parametrizations.weight.original1", "float32", [4, 8]),
        ("m.parametrizations.weight.original0", "float32", [4, 1]),
        ("m.parametrizations.weight.1._u", "float32", [4]),
        ("m.parametrizations.weight.1._v", "float32", [8]),
      ]),
  ]

  /// What no file tells enough about.
  public static let unknown: [Form] = [
    unknown("orthogonal with a base", [("original", [4, 4]), ("0.base", [4, 4])]),
    unknown("a map of another class", [("original", [4, 4]), ("0.left", [4, 2])]),
    unknown(
      "a second map without tensors", [("original", [4, 8]), ("1._u", [4]), ("1._v", [8])]),
    unknown("no map with tensors", [("original", [4, 8])]),
    unknown(
      "three originals", [("original0", [4, 1]), ("original1", [4, 8]), ("original2", [4])]),
    unknown(
      "singular vectors of another shape", [("original", [4, 8]), ("0._u", [5]), ("0._v", [8])]),
  ]

  private static func unknown(_ name: String, _ parts: [(String, [Int])]) -> Form {
    Form(
      name: name, kind: name.contains("singular") ? "spectral_norm" : "parametrized",
      key: "m.weight",
      tensors: parts.map { ("m.parametrizations.weight." + $0.0, "float32", $0.1) },
      isFoldable: false)
  }

  /// Keys that look like parts of weights and are none.
  public static let ordinary:
    [(name: String, tensors: [(key: String, type: String, shape: [Int])])] =
      [
        ("plain float8", [("m.weight", "float8_e4m3fn", [4, 8]), ("m.bias", "bfloat16", [4])]),
        (
          "a scale beside a float",
          [("m.weight", "float32", [4]), ("m.weight_scale", "float32", [])]
        ),
        ("a layer norm's scale", [("m.weight", "bfloat16", [4]), ("m.scale", "float32", [4])]),
        ("two vectors", [("m.gate_g", "float32", [4]), ("m.gate_v", "float32", [4])]),
        ("two matrices", [("m.w_g", "float32", [4, 8]), ("m.w_v", "float32", [4, 8])]),
        ("a mask alone", [("m.attn_mask", "bool", [4, 4]), ("m.weight", "float32", [4])]),
        ("vectors alone", [("m.weight_u", "float32", [4]), ("m.weight_v", "float32", [8])]),
        (
          "PyTorch 0.4's spectral norm",
          [
            ("m.weight", "float32", [4, 8]), ("m.weight_orig", "float32", [4, 8]),
            ("m.weight_u", "float32", [4]),
          ]
        ),
        (
          "counters",
          [("m.num_batches_tracked", "int64", []), ("m.position_ids", "int64", [1, 8])]
        ),
      ]
}
