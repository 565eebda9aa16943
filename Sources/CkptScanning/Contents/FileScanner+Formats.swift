internal import CkptBytes
internal import CkptGGUF
internal import CkptNumpy
internal import CkptPlatform
internal import CkptSafetensors
internal import CkptText

extension FileScanner {
  /// The maximum size of a file of settings in bytes.
  private static var textLimit: Int { 64 << 20 }
  /// The maximum number of bytes that are copied for a header.
  private static var headerLimit: Int { SafetensorsHeader.byteLimit + 8 }
  /// The maximum size of an HDF5 file that is searched for layers.
  private static var searchLimit: Int { 64 << 20 }

  /// Examines a content as the formats that have a structure; returns whether it is one of them.
  mutating func examineFormats(_ content: ScanContent, _ start: [UInt8]) throws -> Bool {
    if start.starts(with: NumpyHeader.magic) { return try examineNumpy(content, start) }
    if start.starts(with: "GGUF".utf8) { return try examineGGUF(content) }
    if SafetensorsHeader.isLikely(start, fileSize: content.source.byteCount) {
      return try examineSafetensors(content)
    }
    if start.starts(with: [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]) {
      try examineHDF5(content)
      return true
    }
    return try examineSettings(content, start)
  }

  /// A file that begins with the content's bytes and has their number, as the readers of headers
  /// need it. Of a part of an archive only the beginning is copied; zeros stand for the rest.
  private mutating func headerFile(_ content: ScanContent) throws -> File {
    let source = content.source
    if case .region(let region) = source, region.offset == 0, region.byteCount == region.file.size {
      return region.file
    }
    let count = min(source.byteCount, Self.headerLimit)
    use(count)
    return try File.unnamed(path: path) { file in
      try source.part(0..<count).forEachBlock { block, offset in try file.write(block, at: offset) }
      if count < source.byteCount { try file.write([0], at: source.byteCount - 1) }
    }
  }

  private mutating func examineNumpy(_ content: ScanContent, _ start: [UInt8]) throws -> Bool {
    guard let offset = NumpyContent.dataOffset(start), offset <= content.source.byteCount else {
      find("a NumPy array whose header is cut off", in: content.place, isDamage: true)
      return true
    }
    let header = try content.source.bytes(in: 0..<min(offset, 1 << 16))
    if NumpyContent.isPlainArray(header) {
      return true
    }
    // Objects are a pickle. Arrays of structures and times are not, and look like none.
    let hasPickle = try examinePickles(content, start, from: offset, isKnown: true)
    if !hasPickle, header.contains(UInt8(ascii: "O")) {
      find("an array of objects whose pickle is damaged", in: content.place, isDamage: true)
    } else if !hasPickle {
      noteRecognized()
    }
    return true
  }

  private mutating func examineSafetensors(_ content: ScanContent) throws -> Bool {
    let file = try headerFile(content)
    do {
      _ = try SafetensorsHeader(reading: file)
      noteRecognized()
      return true
    } catch let error as SafetensorsError {
      // What does not validate as the format is not of that format.
      if content.place.isEmpty || content.place.hasSuffix(".safetensors") {
        find("no safetensors file: \(error.description)", in: content.place, isDamage: true)
      }
      return false
    }
  }

  private mutating func examineGGUF(_ content: ScanContent) throws -> Bool {
    let file = try headerFile(content)
    do {
      for (key, value) in try GGUFFile(file).metadata where key.contains("chat_template") {
        if case .text(let template) = value { examine(template: template, key, content) }
      }
      noteRecognized()
    } catch let error as GGUFError {
      find("no GGUF file: \(error.description)", in: content.place, isDamage: true)
    }
    return true
  }

  private mutating func examineHDF5(_ content: ScanContent) throws {
    skip(content.place, "an HDF5 file, as Keras writes; its layers can hold code")
    let source = content.source
    let count = min(source.byteCount, Self.searchLimit, budget.left)
    use(count)
    // The description of a model is one attribute; blocks overlap by the text that is searched.
    for offset in stride(from: 0, to: count, by: 1 << 20) {
      let block = try source.bytes(in: offset..<min(offset + 1 << 20 + 64, count))
      guard KerasLayers.haveLambda(block) else { continue }
      return find(KerasLayers.lambda, .dangerous, in: content.place)
    }
  }

  // MARK: - Settings and templates

  /// Looks for chat templates in JSON and in files of templates.
  private mutating func examineSettings(_ content: ScanContent, _ start: [UInt8]) throws -> Bool {
    let name = (content.place.isEmpty ? scan.file : content.place).foldingASCII
    let isTemplate = name.hasSuffix(".jinja") || name.hasSuffix(".jinja2")
    let first = start.first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    let isJSON = (first == UInt8(ascii: "{") || first == nil) && !start.prefix(8).contains(0)
    guard isTemplate || isJSON else { return false }
    guard content.source.byteCount <= min(Self.textLimit, budget.left) else {
      skip(content.place, "settings or a template of \(content.source.byteCount) bytes")
      return false
    }
    let bytes = try content.source.allBytes()
    use(bytes.count)
    guard isJSON, !isTemplate else {
      guard let text = String(validating: bytes, as: UTF8.self) else { return false }
      examine(template: text, "", content)
      return true
    }
    guard bytes.contain("template") else { return false }
    guard let text = String(validating: bytes, as: UTF8.self),
      let value = try? JSONValue(parsing: text)
    else {
      find("settings with a template that are no JSON", in: content.place)
      return false
    }
    let templates = Self.templates(in: value)
    for (key, template) in templates { examine(template: template, key, content) }
    return !templates.isEmpty
  }

  /// The texts under keys that name a template, and in lists of named templates.
  private static func templates(in value: JSONValue) -> [(key: String, template: String)] {
    var found: [(String, String)] = []
    var stack: [(key: String, value: JSONValue)] = [("", value)]
    while let (key, value) = stack.popLast() {
      switch value {
      case .object(let members):
        for member in members.reversed() {
          let isInside = key.contains("template")
          stack.append((isInside ? "\(key).\(member.name)" : member.name, member.value))
        }
      case .array(let items): for item in items.reversed() { stack.append((key, item)) }
      case .string(let text): if key.contains("template") { found.append((key, text)) }
      default: break
      }
    }
    return found
  }

  private mutating func examine(template: String, _ key: String, _ content: ScanContent) {
    guard template.utf8.count <= ChatTemplate.byteLimit else {
      return skip(content.place, "a template of \(template.utf8.count) bytes")
    }
    for reach in ChatTemplate.reaches(of: template) {
      let which = key.isEmpty ? "the template" : "the template \(Text.printable(key))"
      find("\(which) \(Text.printable(reach.what))", reach.rating, in: content.place)
    }
  }
}
