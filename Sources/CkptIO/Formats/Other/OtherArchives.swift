internal import CkptText
internal import CkptPlatform
internal import CkptBytes
internal import CkptZip

// Archives that are not PyTorch checkpoints.
extension OtherFile {
  /// The number of bytes of a compressed file that are read to determine its contents.
  private static let gzipStart = 1 << 14
  private static let tarMembers = 32

  /// Describes a gzip file, including its contents.
  static func insideGzip(_ file: File, _ gzip: OtherFile) throws -> OtherFile {
    let bytes = try file.bytes(at: 0, count: min(file.size, gzipStart))
    let inside = GzipStart.inflated(bytes, count: 512)
    if TarDirectory.isHeader(inside) {
      return OtherFile(
        name: "a tar archive that gzip compressed (as NVIDIA NeMo's .nemo)",
        hint: "\"tar -xzf\" unpacks it; then name the checkpoint that was in it", isArchive: true)
    }
    return gzip
  }

  /// Describes a tar archive; nil for PyTorch's own.
  static func tar(_ file: File, _ start: [UInt8]) throws -> OtherFile? {
    guard TarDirectory.isHeader(start) else { return nil }
    let names = try TarDirectory.names(in: file, limit: tarMembers)
    let own = ["sys_info", "pickle", "storages", "tensors"]
    if own.contains(where: names.contains) { return nil }
    let isNeMo = names.contains { $0.hasSuffix("model_config.yaml") }
    let checkpoint = names.first(where: isCheckpointName)
    return OtherFile(
      name: isNeMo ? "a model of NVIDIA NeMo (.nemo, a tar archive)" : "a tar archive",
      hint: "\"tar -xf\" unpacks it; then name "
        + (checkpoint.map { Text.printable($0) } ?? "the checkpoint that was in it"),
      isArchive: true)
  }

  /// Describes a zip archive without `data.pkl`; nil for a damaged archive of PyTorch.
  static func zip(_ archive: ZipReader) -> OtherFile? {
    let names = archive.entries.map(\.name)
    func has(_ endings: String...) -> Bool {
      endings.allSatisfy { ending in
        names.contains { $0 == ending || $0.hasSuffix("/" + ending) }
      }
    }
    if has("archive_format", "models/model.json") || has("serialized_exported_program.json")
      || names.contains(where: { $0.contains("data/aotinductor/") })
    {
      return OtherFile(
        name: "an exported program of torch.export (.pt2)",
        hint: "torch.export.load reads it; save the program's state_dict with torch.save",
        isArchive: true, isPyTorch: true)
    }
    if has(".data/extern_modules") {
      return OtherFile(
        name: "a package of torch.package",
        hint: "torch.package.PackageImporter reads it; save the model's state_dict with torch.save",
        isArchive: true, isPyTorch: true)
    }
    // An archive of PyTorch without its pickle is damaged.
    if has("data.pkl") || has("byteorder") || has("version")
      || names.contains(where: { $0.hasSuffix("/data/0") })
    {
      return nil
    }
    if has("config.json", "model.weights.h5") {
      return OtherFile(
        name: "a Keras model (.keras)",
        hint: "Keras reads it; saved as .npz from there, its weights are read here", isArchive: true
      )
    }
    if has("MAR-INF/MANIFEST.json") {
      return OtherFile(
        name: "a model archive of TorchServe (.mar)",
        hint: "\"unzip\" unpacks it; then name the checkpoint that was in it", isArchive: true)
    }
    if has("[Content_Types].xml") {
      return OtherFile(
        name: "a document of an office program", hint: "name the file that holds the weights",
        isArchive: true)
    }
    let checkpoint = names.first(where: isCheckpointName)
    return OtherFile(
      name: "a zip archive that no torch.save wrote",
      hint: "\"unzip\" unpacks it; then name "
        + (checkpoint.map { Text.printable($0) } ?? "the checkpoint that was in it"),
      isArchive: true)
  }

  private static func isCheckpointName(_ name: String) -> Bool {
    [".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".gguf", ".npz"].contains(
      where: name.hasSuffix)
  }

  /// Describes a folder that is not a checkpoint, with the file that indicates this; nil if there
  /// is none.
  static func inFolder(_ folder: Folder) throws -> (file: String, other: OtherFile)? {
    let names = folder.names
    func path(_ name: String) -> String { folder.path + "/" + name }
    if let name = names.first(where: { $0 == "saved_model.pb" || $0 == "saved_model.pbtxt" }) {
      return (
        path(name), OtherFile(name: "a TensorFlow SavedModel", hint: OtherFile.tensorFlowHint)
      )
    }
    if names.contains("Manifest.json"), names.contains("Data") {
      return (
        folder.path,
        OtherFile(
          name: "a Core ML package",
          hint: "it is made for running; convert the checkpoint that it was made from")
      )
    }
    if names.contains("manifest.ocdbt") || names.contains("_CHECKPOINT_METADATA") {
      return (
        folder.path,
        OtherFile(
          name: "a checkpoint of Orbax (JAX)",
          hint: "orbax.checkpoint reads it; saved by safetensors.flax, it is read here")
      )
    }
    // Settings and images beside weights do not indicate anything.
    for name in names.prefix(64) where !name.hasPrefix(".") && !Folder.exists(at: path(name)) {
      let file = try folder.open(name)
      let start = try file.bytes(at: 0, count: min(file.size, 512))
      if let other = try recognize(file, start: start), other.name != OtherFile.jsonName {
        return (file.path, other)
      }
    }
    return nil
  }
}
