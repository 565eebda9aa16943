internal import CkptPlatform
internal import CkptBytes

/// The files that belong to a model beside its weights, in the layout of Hugging Face's tools.
enum CarriedFiles {
  private static let names: Set = [
    "config.json", "generation_config.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt",
    "merges.txt", "chat_template.json", "chat_template.jinja",
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
  ]
  private static let licenses = ["LICENSE", "LICENCE", "NOTICE", "COPYING"]

  /// Whether a file of the given name belongs to a model.
  static func belongs(_ name: String) -> Bool {
    names.contains(name)
      || licenses.contains { name == $0 || name.hasPrefix($0 + ".") || name.hasPrefix($0 + "-") }
  }

  /// The model's files beside the checkpoint at `path` (or in it, if it is a folder), for an output
  /// in `folder`.
  ///
  /// - Throws: `FileError`, also for a link to outside of the folder.
  static func beside(_ path: String, for folder: String) throws -> [OutputPlan.File] {
    let source = try Folder.exists(at: path) ? Folder(path) : Folder(of: File(readingFrom: path))
    guard !Folder.isSame(source.path, folder) else { return [] }
    return try source.names.filter(belongs).filter { !Folder.exists(at: source.path + "/" + $0) }
      .map { name in
        let file = try source.open(name)
        let segment = StreamSegment(
          offset: 0,
          source: .region(FileRegion(file: file, offset: 0, byteCount: file.size, name: name)))
        // Distinguishes it from another file of the same length when an interrupted job continues.
        let beginning: @Sendable () -> [UInt8] = {
          (try? file.bytes(at: 0, count: min(file.size, 1 << 20))) ?? []
        }
        return OutputPlan.File(name: name, byteCount: file.size, beginning: beginning) {
          output, context in
          try context.stream.write([segment], to: output)
        }
      }
  }
}
