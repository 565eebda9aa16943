internal import CkptBytes
internal import CkptText

/// The operators that TorchScript code calls and that reach more than tensors.
///
/// The code is Python's syntax, written by `torch.jit.save`: operators of `aten` are called as
/// `torch.save(…)`, others as `ops.prim.rpc_sync(…)`. In archives for mobile devices, names such as
/// `aten::save` stand in pickles.
enum TorchScriptCode {
  /// An operator.
  struct Operator: Hashable {
    /// The name, such as `aten::save`.
    let name: String
    /// What it reaches.
    let what: String
    let rating: GlobalRating
  }

  private static let reaching: [String: String] = [
    "aten::save": "writes a file", "aten::from_file": "reads and writes a file",
    "aten::load": "reads a file", "aten::_load": "reads a file",
    "prim::rpc_sync": "runs code in another process", "prim::PythonOp": "runs Python code",
    "prim::rpc_async": "runs code in another process",
    "prim::rpc_remote": "runs code in another process", "prim::IgnoredPythonOp": "runs Python code",
    "debugprims::load_tensor": "reads a file",
  ]

  /// Namespaces whose operators reach other processes, devices, or raw memory.
  private static let reachingSpaces: [String: String] = [
    "c10d": "exchanges data with other processes",
    "_c10d_functional": "exchanges data with other processes",
    "fsdp": "exchanges data with other processes", "symm_mem": "accesses memory by address",
    "inductor": "accesses memory by address",
  ]

  /// PyTorch's own namespaces.
  private static let ownSpaces: Set<String> = [
    "aten", "prim", "prims", "quantized", "_quantized", "sparse", "mkldnn", "mkldnn_prepacked",
    "prepacked", "xnnpack", "cuda", "onednn", "profiler", "quantization", "_caffe2", "image",
    "torchvision", "torchaudio", "torchtext", "static_runtime", "rngprims", "export",
  ]

  /// The operators in a code file, each once.
  static func operators(in bytes: [UInt8]) -> [Operator] {
    var found: [Operator] = []
    var seen: Set<String> = []
    var index = 0
    func isWord(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || byte == 0x5F
        || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: ".") || byte >= 0x80
    }
    while index < bytes.count {
      guard isWord(bytes[index]) else {
        index += 1
        continue
      }
      let start = index
      while index < bytes.count, isWord(bytes[index]) { index += 1 }
      guard index - start > 4, index - start < 200,
        bytes[start] == UInt8(ascii: "t") || bytes[start] == UInt8(ascii: "o")
      else {
        continue
      }
      let parts = String(decoding: bytes[start..<index], as: UTF8.self).split(separator: ".")
      guard parts.count == (parts.first == "ops" ? 3 : 2), parts[0] == "ops" || parts[0] == "torch"
      else { continue }
      let space = parts[0] == "ops" ? String(parts[1]) : "aten"
      let name = "\(space)::\(parts[parts.count - 1])"
      guard seen.insert(name).inserted, seen.count < 10_000 else { continue }
      if let known = rated(name, space) { found.append(known) }
    }
    return found
  }

  /// The operators that stand as text in the bytes of a pickle.
  static func operators(named bytes: [UInt8]) -> [Operator] {
    reaching.keys.sorted().compactMap { name in
      bytes.contain(name) ? rated(name, "aten") : nil
    }
  }

  private static func rated(_ name: String, _ space: String) -> Operator? {
    if let what = reaching[name] ?? reachingSpaces[space] {
      return Operator(name: name, what: what, rating: .dangerous)
    }
    guard !ownSpaces.contains(space) else { return nil }
    return Operator(name: name, what: "is no operator of PyTorch's", rating: .unknown)
  }
}

extension FileScanner {
  /// The maximum size of a code file in bytes.
  private static var codeLimit: Int { 32 << 20 }

  /// Names what the code of a TorchScript archive reaches. The code itself runs when the model is
  /// used, and is never safe.
  mutating func examineTorchScript(
    _ survey: ZipSurvey, _ content: ScanContent, _ inside: String
  ) throws {
    var hasCode = false
    for record in survey.records {
      let name = record.name.foldingASCII
      let isCode = name.hasSuffix(".py")
      guard isCode || name.hasSuffix("bytecode.pkl"), let range = record.range else { continue }
      hasCode = true
      let shown = Text.printable(record.name)
      let place = inside.isEmpty ? shown : "\(inside): \(shown)"
      var bytes: [UInt8]
      let source = content.source.part(range)
      if record.methods == [8] {
        let limit = min(Self.codeLimit, budget.left)
        let output = try Compression.deflate.decompress(source, limit: limit, path: path)
        if output.isCut { skip(place, "code of more than \(limit) bytes") }
        bytes = try output.source.bytes(in: 0..<min(output.source.byteCount, limit))
      } else {
        if range.count > Self.codeLimit { skip(place, "code of more than \(Self.codeLimit) bytes") }
        bytes = try source.bytes(in: 0..<min(range.count, Self.codeLimit))
      }
      use(bytes.count)
      let found =
        isCode
        ? TorchScriptCode.operators(in: bytes) : TorchScriptCode.operators(named: bytes)
      for one in found {
        find("the operator \(Text.printable(one.name)) \(one.what)", one.rating, in: place)
      }
    }
    let folder = inside.isEmpty ? "code/" : "\(inside): code/"
    if hasCode { skip(folder, "TorchScript code, which runs when the model is used") }
  }

  /// Names Lambda layers of a Keras model, which hold Python's bytecode.
  mutating func examineKeras(
    _ survey: ZipSurvey, _ content: ScanContent, _ inside: String
  ) throws {
    guard survey.records.contains(where: { $0.name.hasSuffix("model.weights.h5") }) else { return }
    for record in survey.records where record.name.hasSuffix("config.json") {
      guard let range = record.range else { continue }
      let source = content.source.part(range)
      var bytes = try source.bytes(in: 0..<min(range.count, Self.codeLimit))
      if record.methods == [8] {
        let output = try Compression.deflate.decompress(
          source, limit: min(Self.codeLimit, budget.left), path: path)
        bytes = try output.source.allBytes()
      }
      use(bytes.count)
      if KerasLayers.haveLambda(bytes) {
        find(KerasLayers.lambda, .dangerous, in: Text.printable(record.name))
      }
    }
  }
}

/// Layers of Keras that hold code.
enum KerasLayers {
  static let lambda = "a Lambda layer of Keras, which holds Python's bytecode"

  /// Whether a model's description has such a layer.
  static func haveLambda(_ bytes: [UInt8]) -> Bool {
    for text in ["\"class_name\": \"Lambda\"", "\"class_name\":\"Lambda\""]
    where bytes.contain(text) {
      return true
    }
    return false
  }
}
