internal import CkptText
internal import CkptPlatform
internal import CkptPickle
internal import CkptTensors

extension Checkpoint {
  /// Checks that quantized blocks can be written: unchanged, or dequantized if the options request
  /// it.
  ///
  /// - Parameter isKept: whether the output contains a tensor's blocks unchanged.
  /// - Throws: `CheckpointError.cannotWrite`.
  func checkBlocks(_ options: WriteOptions, isKept: (Tensor) -> Bool) throws {
    let known = [document.tensors, addedTensors].contains { table in
      table.values.contains { $0.storage.blocks != nil }
    }
    guard known else { return }
    var found: [(ref: PickleGraph.Ref, blocks: Storage.Blocks)] = []
    try graph.walk(from: graph.root) { ref in
      if let tensor = tensor(of: ref), let blocks = tensor.storage.blocks,
        !blocks.isDecoded || !options.dequantizes, !isKept(tensor)
      {
        found.append((ref, blocks))
      }
      return true
    }
    guard let first = found.first else { return }
    let name = Text.printable(graph.path(to: first.ref))
    if let raw = found.first(where: { !$0.blocks.isDecoded }) {
      throw CheckpointError.cannotWrite(
        file: path,
        "\(Text.printable(graph.path(to: raw.ref))) is quantized as \(raw.blocks.name), which "
          + "cannot be turned into floats",
        hint: "\(.excludeInEdit) leaves such tensors out")
    }
    throw CheckpointError.cannotWrite(
      file: path,
      "\(found.count) tensors are quantized in blocks (\(name) as \(first.blocks.name))",
      hint: "\(.dequantize) writes them as 32-bit floats; \(.convertFile) converts them")
  }
}
