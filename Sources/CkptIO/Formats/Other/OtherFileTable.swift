/// Formats that are identified by bytes at a fixed offset.
enum OtherFileTable {
  /// One format.
  struct Row {
    let name: String
    let hint: String
    /// The offset of the bytes.
    let offset: Int
    let bytes: [UInt8]
    /// Additional bytes that must be present.
    var also: (offset: Int, bytes: [UInt8])?
    var isArchive = false

    /// A format identified by bytes.
    static func bytes(
      _ name: String, _ bytes: [UInt8], at offset: Int = 0,
      also: (offset: Int, bytes: [UInt8])? = nil, isArchive: Bool = false, _ hint: String
    ) -> Row {
      Row(
        name: name, hint: hint, offset: offset, bytes: bytes, also: also, isArchive: isArchive)
    }

    /// A format identified by text.
    static func text(
      _ name: String, _ text: String, at offset: Int = 0,
      also: (offset: Int, bytes: [UInt8])? = nil, isArchive: Bool = false, _ hint: String
    ) -> Row {
      bytes(name, Array(text.utf8), at: offset, also: also, isArchive: isArchive, hint)
    }

    func matches(_ start: [UInt8]) -> Bool {
      start.dropFirst(offset).starts(with: bytes)
        && also.map { start.dropFirst($0.offset).starts(with: $0.bytes) } ?? true
    }

    var file: OtherFile { OtherFile(name: name, hint: hint, isArchive: isArchive) }
  }

  static let gzip = "a file that gzip compressed"

  static let hdf5 = Row.bytes(
    "an HDF5 file, as Keras and h5py write", [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A],
    "Keras or h5py reads it; saved as .npz or safetensors from there, its weights are read here")

  private static let picture = "the weights are another file, or the download gave something else"
  private static let exported =
    "it is made for running; convert the checkpoint that it was made from"

  static let rows: [Row] = [
    hdf5,
    // Compressed files and archives.
    Row.bytes(gzip, [0x1F, 0x8B, 0x08], isArchive: true, "gunzip it first"),
    Row.text(
      "a file that bzip2 compressed", "BZh", also: (4, [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
      isArchive: true, "bunzip2 it first"),
    Row.bytes(
      "a file that xz compressed", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], isArchive: true,
      "unxz it first"),
    Row.bytes(
      "a file that zstd compressed", [0x28, 0xB5, 0x2F, 0xFD], isArchive: true,
      "\"zstd -d\" unpacks it"),
    Row.bytes(
      "a file that lz4 compressed", [0x04, 0x22, 0x4D, 0x18], isArchive: true,
      "\"lz4 -d\" unpacks it"),
    Row.text("a file that lzip compressed", "LZIP", isArchive: true, "\"lzip -d\" unpacks it"),
    Row.bytes(
      "a 7-Zip archive (7z)", [0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], isArchive: true,
      "\"7z x\" unpacks it; then name the checkpoint that was in it"),
    Row.bytes(
      "a RAR archive", [0x52, 0x61, 0x72, 0x21, 0x1A, 0x07], isArchive: true,
      "\"unrar x\" unpacks it; then name the checkpoint that was in it"),
    // Other frameworks' models.
    Row.text("a TensorFlow Lite model", "TFL3", at: 4, exported),
    Row.text("an ExecuTorch program", "ET1", at: 4, exported),
    Row.text("an ONNX Runtime model (.ort)", "ORTM", at: 4, exported),
    Row.text("a TorchScript model for mobile devices (flatbuffer)", "PTMF", at: 4, exported),
    Row.text("a TensorRT engine", "ftrt", exported),
    Row.bytes(
      "an MXNet parameter file", [0x12, 0x01, 0, 0, 0, 0, 0, 0],
      "mxnet.nd.load reads it; saved as .npz from there, it is read here"),
    Row.bytes(
      "a Darknet weight file", [0, 0, 0, 0, 2, 0, 0, 0],
      "it has no names; convert it with the model's own tool, such as a yolov3 repository's"),
    Row.text(
      "a llama.cpp file from before GGUF (ggml)", "lmgg",
      "llama.cpp's convert_llama_ggml_to_gguf.py makes it GGUF"),
    Row.text(
      "a llama.cpp file from before GGUF (ggmf)", "fmgg",
      "llama.cpp's convert_llama_ggml_to_gguf.py makes it GGUF"),
    Row.text(
      "a llama.cpp file from before GGUF (ggjt)", "tjgg",
      "llama.cpp's convert_llama_ggml_to_gguf.py makes it GGUF"),
    Row.text(
      "a MATLAB file", "MATLAB 5.0 MAT-file",
      "scipy.io.loadmat reads it; saved as .npz from there, it is read here"),
    // Data.
    Row.text("a SQLite database", "SQLite format 3\0", picture),
    Row.text("a Parquet file", "PAR1", picture), Row.text("an Arrow file", "ARROW1", picture),
    // Pictures and documents.
    Row.bytes("a PNG image", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], picture),
    Row.bytes("a JPEG image", [0xFF, 0xD8, 0xFF], picture),
    Row.text("a GIF image", "GIF8", picture),
    Row.text("a WebP image", "RIFF", also: (8, Array("WEBP".utf8)), picture),
    Row.bytes("a TIFF image", [0x49, 0x49, 0x2A, 0], picture),
    Row.bytes("a TIFF image", [0x4D, 0x4D, 0, 0x2A], picture),
    Row.text("a PDF document", "%PDF-", picture),
    // Programs.
    Row.bytes("a Linux program or library (ELF)", [0x7F, 0x45, 0x4C, 0x46], picture),
    Row.bytes("a macOS program or library (Mach-O)", [0xCF, 0xFA, 0xED, 0xFE], picture),
    Row.bytes("a macOS program or library (Mach-O)", [0xCA, 0xFE, 0xBA, 0xBE], picture),
  ]
}
