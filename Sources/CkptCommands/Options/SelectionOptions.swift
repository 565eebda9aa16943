internal import CkptPatterns
internal import ArgumentParser
internal import StateDictKit

/// Options that select keys.
struct SelectionOptions: ParsableArguments {
  @Option(
    name: [.long, .customLong("select")],
    help: "Keep keys that match; in: (default), is:, under:, glob: or re:. Repeatable.")
  var include: [String] = []

  @Option(help: "Leave out keys that match; wins over --include. Repeatable.")
  var exclude: [String] = []

  @Option(help: "Keep tensors of this dtype only, such as float32. Repeatable.")
  var dtype: [String] = []

  @Option(help: "Keep tensors of at least so many elements.")
  var minElements: Int?

  @Option(help: "Keep tensors of at most so many elements.")
  var maxElements: Int?

  @Option(help: "Keep tensors of this shape; * stands for any size, as in 64,3,*,*.")
  var shape: String?

  @Flag(help: "Let a selection that keeps nothing pass.")
  var allowEmpty = false

  /// Whether every key is selected, because no option was given.
  var isEverything: Bool {
    include.isEmpty && exclude.isEmpty && dtype.isEmpty && minElements == nil && maxElements == nil
      && shape == nil
  }

  func selection() throws -> KeySelection {
    var selection = KeySelection(
      include: try include.map { try KeyPattern($0) },
      exclude: try exclude.map { try KeyPattern($0) })
    selection.dtypes = try dtype.map(Self.dtype)
    selection.minElements = minElements
    selection.maxElements = maxElements
    selection.shape = try shape.map { written in
      if written.isEmpty || written == "[]" { return [] }
      return try written.split(separator: ",", omittingEmptySubsequences: false).map { part in
        if part == "*" { return nil }
        guard let size = Int(part), size >= 0 else {
          throw UsageError(
            description: "not a shape: \"\(written)\"", hint: "write sizes, as in 64,3,*,*")
        }
        return size
      }
    }
    return selection
  }

  /// The names of the options that select.
  static let names = ["include", "exclude", "dtype", "min-elements", "max-elements", "shape"]

  /// Other names of the dtypes: those of PyTorch, papers, and safetensors headers.
  private static let aliases: [String: String] = [
    "fp64": "float64", "double": "float64", "f64": "float64",
    "fp32": "float32", "float": "float32", "single": "float32", "f32": "float32",
    "fp16": "float16", "half": "float16", "f16": "float16",
    "bf16": "bfloat16", "fp8": "float8_e4m3fn", "fp8_e4m3": "float8_e4m3fn",
    "float8_e4m3": "float8_e4m3fn", "fp8_e4m3fn": "float8_e4m3fn", "f8_e4m3": "float8_e4m3fn",
    "fp8_e5m2": "float8_e5m2", "f8_e5m2": "float8_e5m2",
    "long": "int64", "i64": "int64", "int": "int32", "i32": "int32", "short": "int16",
    "i16": "int16", "char": "int8", "i8": "int8", "byte": "uint8", "u8": "uint8",
    "cfloat": "complex64", "cdouble": "complex128",
  ]

  /// The dtype with a name of PyTorch or an alias.
  static func dtype(_ name: String) throws -> DType {
    let plain = name.hasPrefix("torch.") ? String(name.dropFirst(6)) : name
    guard let type = DType(name: aliases[plain.lowercased()] ?? plain) else {
      let known = DType.allCases.map(\.name).joined(separator: " ")
      throw UsageError(description: "no dtype is called \"\(name)\"", hint: "there are: \(known)")
    }
    return type
  }

  /// Matches the selection against a state dict. Patterns that match nothing are reported; if none
  /// matches, it is an error.
  func checked(against stateDict: StateDict, of file: String) throws -> KeySelection {
    let selection = try selection()
    let (kept, missed) = selection.count(in: stateDict)
    try UnmatchedPatterns(missed, in: stateDict.keys).report(of: file)
    try checkIsNotEmpty(kept, of: stateDict.count, in: file)
    return selection
  }

  /// The selected part of a state dict; patterns that match nothing are reported.
  func apply(to stateDict: StateDict, of file: String) throws -> StateDict {
    stateDict.filter(try checked(against: stateDict, of: file))
  }

  /// Checks that the selection is not empty, unless that is allowed or the state dict was empty.
  func checkIsNotEmpty(_ kept: Int, of count: Int, in file: String) throws {
    guard kept > 0 || allowEmpty || (count == 0 && isEverything) else {
      throw InputError(
        description: "the selection keeps none of \(count) keys (\(file))",
        hint: "\"ckpt ls\" lists the keys; --allow-empty lets this pass")
    }
  }
}
