internal import CkptIO

/// Files that cannot run anything when they are loaded.
enum HarmlessFiles {
  /// The names that ``OtherFile`` gives to data.
  private static let words = [
    "image", "PDF", "SQLite", "Parquet", "Arrow", "HTML", "JSON", "pointer", "an empty file",
    "log of TensorBoard", "begins with zeros", "MessagePack", "MXNet", "Darknet", "llama.cpp",
    "MATLAB", "the list of a TensorFlow checkpoint", "the index of a TensorFlow checkpoint",
    "a text file", "TensorFlow Lite", "ONNX",
  ]

  /// Whether a file of this kind only holds data.
  static func contain(_ other: OtherFile) -> Bool {
    words.contains { other.name.contains($0) }
  }

  /// What kind of code a file with this name is; nil if it is none.
  static func code(_ path: String) -> String? {
    switch path.split(separator: ".").last {
    case "py", "pyc", "pyw": "Python code, which loaders run if they are told to trust it"
    case "sh": "a script"
    case "so", "dll", "dylib": "a library of machine code"
    default: nil
    }
  }
}
