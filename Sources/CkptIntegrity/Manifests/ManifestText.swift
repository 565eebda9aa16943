internal import CkptText

extension ModelManifest {
  /// The manifest as an in-toto statement in JSON.
  package func text() -> [UInt8] {
    var json = JSONWriter(.readable)
    json.beginObject()
    json.name("_type")
    json.string(Self.statementType)
    json.name("subject")
    json.beginArray()
    json.beginObject()
    json.name("name")
    json.string(name)
    json.name("digest")
    json.beginObject()
    json.name("sha256")
    json.string(Self.rootDigest(resources.map(\.sha256)))
    for _ in 0..<2 { json.end() }
    json.end()
    json.name("predicateType")
    json.string(Self.predicateType)
    json.name("predicate")
    json.beginObject()
    writeSerialization(&json)
    json.name("resources")
    json.beginArray()
    for resource in resources {
      json.beginObject()
      json.name("name")
      json.string(resource.file)
      json.name("algorithm")
      json.string("sha256")
      json.name("digest")
      json.string(resource.sha256)
      json.end()
    }
    json.end()
    writeContents(&json)
    json.end()
    json.end()
    return json.bytes + [UInt8(ascii: "\n")]
  }

  private func writeSerialization(_ json: inout JSONWriter) {
    json.name("serialization")
    json.beginObject()
    json.name("method")
    json.string("files")
    json.name("hash_type")
    json.string("sha256")
    json.name("allow_symlinks")
    json.value(.bool(followsLinks))
    if !ignored.isEmpty {
      json.name("ignore_paths")
      json.value(.array(ignored.map { .string($0) }))
    }
    json.end()
  }

  /// Members that model-signing ignores.
  private func writeContents(_ json: inout JSONWriter) {
    json.name("covers")
    json.string(coversFolder ? "folder" : "files")
    json.name("checkpoints")
    json.beginArray()
    for checkpoint in contents {
      json.beginObject()
      json.name("name")
      json.string(checkpoint.checkpoint)
      json.name("tensors")
      json.beginObject()
      for (key, digest) in checkpoint.digests.sorted(by: {
        $0.key.text.utf8.lexicographicallyPrecedes($1.key.text.utf8)
      }) {
        json.name(key.text)
        json.string(digest)
      }
      json.end()
      json.end()
    }
    json.end()
  }

  /// The SHA-256 of the digests' bytes, one after the other, which stands for the whole model.
  static func rootDigest(_ digests: [String]) -> String {
    FileDigest.sha256(of: digests.flatMap { $0.hexadecimalBytes ?? [] })
  }
}
