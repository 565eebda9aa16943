internal import CkptPlatform

// Text files, identified by their beginning.
extension OtherFile {
  /// The number of bytes of a JSON file that are searched for an index's map.
  private static let indexStart = 1 << 16

  /// Identifies a Git LFS pointer, an HTML page, or a document; nil for other text, and for files
  /// that are not text.
  static func text(_ file: File, _ start: [UInt8]) throws -> OtherFile? {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let bytes = start.starts(with: mark) ? Array(start.dropFirst(3)) : start
    let begin = bytes.drop { [9, 10, 12, 13, 32].contains($0) }
    let lowered = String(decoding: begin.prefix(400), as: UTF8.self).lowercased()
    func begins(_ texts: String...) -> Bool { texts.contains { lowered.hasPrefix($0) } }
    if begins("version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/")
    {
      let size = lowered.split(whereSeparator: \.isNewline).lazy
        .first { $0.hasPrefix("size ") }.flatMap { Int($0.dropFirst(5)) }
      return OtherFile(
        name: "a Git LFS pointer, not the file itself",
        hint: "\"git lfs pull\" in its repository fetches the file"
          + (size.map { " (\($0) bytes)" } ?? ""))
    }
    if begins("# xet version") {
      return OtherFile(
        name: "a Xet pointer, not the file itself",
        hint: "\"git xet\" or \"hf download\" fetches the file")
    }
    if begins("/annex/objects/", "../.git/annex/objects/", ".git/annex/objects/") {
      return OtherFile(
        name: "a git-annex pointer, not the file itself", hint: "\"git annex get\" fetches the file"
      )
    }
    if begins("<!doctype html", "<html", "<head", "<body", "<script") {
      return OtherFile(
        name: "an HTML page",
        hint: "the download gave a page: the address may want a login, or /resolve/ for /blob/")
    }
    if begins("<?xml", "<svg", "<error>") {
      return OtherFile(
        name: lowered.contains("<html") ? "an HTML page" : "an XML document",
        hint: lowered.contains("<error")
          ? "a server's answer in place of the file; the address or the access may be wrong"
          : "name the file that holds the weights")
    }
    if begins("model_checkpoint_path:") {
      return OtherFile(
        name: "the list of a TensorFlow checkpoint", hint: OtherFile.tensorFlowHint)
    }
    guard let first = begin.first else { return nil }
    if first == UInt8(ascii: "{") || first == UInt8(ascii: "["), isText(start) {
      return try json(file, start, isObject: first == UInt8(ascii: "{"))
    }
    if lowered.contains("outs:"), lowered.contains("md5:"), isText(start) {
      return OtherFile(
        name: "a DVC pointer, not the file itself", hint: "\"dvc pull\" fetches the file")
    }
    return nil
  }

  static let jsonName = "a JSON file"

  static var tensorFlowHint: String {
    "TensorFlow reads it (tf.train.load_checkpoint); saved as .npz from there, it is read here"
  }

  private static func json(_ file: File, _ start: [UInt8], isObject: Bool) throws -> OtherFile? {
    if isObject {
      let bytes = try file.bytes(at: 0, count: min(file.size, indexStart))
      // An index of shards, possibly without its map. Files that begin with much other data are
      // left to the reader of indices.
      let marks = ["\"weight_map\"", "\"metadata\""].map { Array($0.utf8) }
      let isIndex = bytes.indices.contains { position in
        marks.contains { bytes[position...].starts(with: $0) }
      }
      if isIndex || file.size > indexStart { return nil }
    }
    let isAnswer = String(decoding: start, as: UTF8.self).contains("\"error\"")
    return OtherFile(
      name: jsonName,
      hint: isAnswer
        ? "a server's answer in place of the file; the address or the access may be wrong"
        : "the weights are in another file, such as model.safetensors")
  }
}
