extension FuzzTarget {
  /// Folders of several files, one of which has the bytes as its pickle.
  static let folders: [FuzzTarget] = [
    FuzzTarget("distributed") { bytes, folder in
      let inner = try folder.folder("distributed")
      _ = try folder.write(bytes, to: "distributed/.metadata")
      _ = try folder.write(chunks, to: "distributed/__0_0.distcp")
      try CheckpointExercise.run(inner)
    },
    FuzzTarget("deepspeed") { bytes, folder in
      // The bytes are the pickle of the optimizer's state, a NUL byte four times, and that of the
      // model's.
      let inner = try folder.folder("deepspeed")
      let (first, second) = halves(of: bytes)
      _ = try folder.write(
        StoredArchive.checkpoint(first),
        to: "deepspeed/zero_pp_rank_0_mp_rank_00_optim_states.pt")
      _ = try folder.write(
        StoredArchive.checkpoint(second), to: "deepspeed/mp_rank_00_model_states.pt")
      try CheckpointExercise.run(inner)
    },
  ]

  /// Archives in a row, each with one tensor of four float32, at multiples of 1024 bytes.
  private static let chunks: [UInt8] = {
    // torch.save(torch.arange(4.0)), in protocol 2.
    let tensor =
      Array("\u{2}ctorch._utils\n_rebuild_tensor_v2\n((U\u{7}storagectorch\nFloatStorage\n".utf8)
      + Array("U\u{1}0U\u{3}cpuK\u{4}tQK\u{0}K\u{4}\u{85}".unicodeScalars.map { UInt8($0.value) })
      + [0x4B, 1, 0x85, 0x89] + Array("ccollections\nOrderedDict\n)RtR.".utf8)
    var all: [UInt8] = []
    for _ in 0..<4 {
      all += StoredArchive.archive([
        ("x/data.pkl", [0x80] + tensor), ("x/version", Array("3\n".utf8)),
        ("x/data/0", (0..<16).map { UInt8($0) }),
      ])
      all += [UInt8](repeating: 0, count: 1024 - all.count % 1024)
    }
    return all
  }()

  private static func halves(of bytes: [UInt8]) -> ([UInt8], [UInt8]) {
    var zeros = 0
    for (position, byte) in bytes.enumerated() {
      zeros = byte == 0 ? zeros + 1 : 0
      if zeros == 4 { return (Array(bytes[..<(position - 3)]), Array(bytes[(position + 1)...])) }
    }
    return (bytes, bytes)
  }
}
