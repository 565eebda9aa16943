import Foundation

/// A distributed checkpoint, and a GGUF file of blocks, as one PyTorch file, beside what their own libraries do.
func measureDistributedAndGGUF(_ context: Context) throws {
  let source = try context.checkpoint("float32", seed: 1)
  func made(_ kind: String, _ name: String) throws -> String {
    let path = context.file(name)
    if !FileManager.default.fileExists(atPath: path) {
      _ = try run(context.peer("distributed_and_gguf.py", "make-\(kind)", source, path))
    }
    return path
  }
  let (out, theirs) = (context.file("out.pt"), context.file("peer.pt"))
  let works: [(name: String, input: String, options: [String], peer: String)] = [
    ("distributed, 1 process", try made("plain", "plain.dcp"), [], "distributed"),
    ("distributed, 4 processes", try made("sharded", "sharded.dcp"), [], "distributed"),
    ("GGUF, Q4_K", try made("q4_k", "q4_k.gguf"), ["--dequantize"], "gguf"),
    ("GGUF, Q6_K", try made("q6_k", "q6_k.gguf"), ["--dequantize"], "gguf"),
  ]
  let table = MarkdownTable(
    "\(context.megabytes) MB of float32 from other formats",
    [
      "work", "ckpt", "its library", "its work alone", "library / ckpt", "work / ckpt",
      "peak ckpt", "peak library",
    ])
  for work in works {
    let rounds = try Rounds(
      [
        Side(
          command: [context.ckpt, "convert", work.input, "-o", out] + work.options,
          outputs: [out]),
        Side(
          command: context.peer("distributed_and_gguf.py", work.peer, work.input, theirs),
          outputs: [theirs]),
      ], rounds: context.rounds)
    table.row([
      work.name, seconds(rounds.seconds(0)), seconds(rounds.seconds(1)), seconds(rounds.work(1)),
      text(rounds.ratio(1, to: 0), 1),
      text(rounds.ratio(1, to: 0, of: { $0.workSeconds ?? .nan }), 1),
      megabytes(rounds.peak(0)), megabytes(rounds.peak(1)),
    ])
  }
}
