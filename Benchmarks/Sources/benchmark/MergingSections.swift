import Foundation

/// Merge methods beside PyTorch and beside mergekit's own functions.
func measureMerging(_ context: Context) throws {
  let table = MarkdownTable(
    "Merging checkpoints of \(context.megabytes) MB each",
    [
      "work", "ckpt", "peer", "its time", "its work alone", "peer / ckpt", "its work / ckpt",
      "peak ckpt", "peak peer",
    ])
  let out = context.file("out.pt")
  let theirs = context.file("peer.pt")
  func measure(_ name: String, _ own: [String], _ peer: String, _ command: [String]) throws {
    let rounds = try Rounds(
      [
        Side(command: [context.ckpt, "merge"] + own + ["-o", out], outputs: [out]),
        Side(command: command, outputs: [theirs]),
      ], rounds: context.rounds)
    table.row([
      name, seconds(rounds.seconds(0)), peer, seconds(rounds.seconds(1)), seconds(rounds.work(1)),
      text(rounds.ratio(1, to: 0), 1),
      text(rounds.ratio(1, to: 0, of: { $0.workSeconds ?? .nan }), 1),
      megabytes(rounds.peak(0)), megabytes(rounds.peak(1)),
    ])
  }

  let floats = try (1...2).map { try context.checkpoint("float32", seed: $0) }
  try measure(
    "linear, 2 of float32", floats + ["--method", "linear", "--weights", "0.5,0.5"],
    "PyTorch, mmap", context.peer("pytorch.py", "linear") + floats + [theirs])
  let halves = try (1...3).map { try context.checkpoint("bfloat16", seed: $0) }
  for method in ["ties", "dare-ties"] {
    try measure(
      "\(method), a base and 2 of bfloat16",
      halves + ["--method", method, "--weights", "0.7,0.5", "--density", "0.5,0.5"], "mergekit",
      context.peer("merging.py", method.replacingOccurrences(of: "-", with: "_"), theirs) + halves)
  }
}
