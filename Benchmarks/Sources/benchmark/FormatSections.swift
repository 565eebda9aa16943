import Foundation

/// Formats beside their own libraries.
func measureFormats(_ context: Context) throws {
  let pytorch = try context.checkpoint("float32", seed: 1)
  let tensors = context.file("float32-1.safetensors")
  let shards = context.file("float32-1-shards")
  if !FileManager.default.fileExists(atPath: tensors) {
    _ = try run([context.ckpt, "convert", pytorch, "-o", tensors])
  }
  if !FileManager.default.fileExists(atPath: shards) {
    _ = try run([context.ckpt, "shard", pytorch, "--max-size", "200MB", "-o", shards])
  }
  let (out, theirs) = (context.file("out.safetensors"), context.file("peer.safetensors"))
  let (outPT, theirsPT) = (context.file("out.pt"), context.file("peer.pt"))
  let (outFolder, theirFolder) = (context.file("out"), context.file("peer"))
  let works: [(name: String, ckpt: [String], out: String, peer: [String], theirs: String)] = [
    (
      "safetensors: filter (load_file, save_file)", ["filter", tensors, "--exclude", "head"], out,
      ["filter", tensors], theirs
    ),
    (
      "safetensors: all (load_file, save_file)", ["convert", tensors], out, ["copy", tensors],
      theirs
    ),
    (
      "PyTorch to safetensors (torch.load, save_file)", ["convert", pytorch], out,
      ["from-pytorch", pytorch], theirs
    ),
    (
      "safetensors to PyTorch (load_file, torch.save)", ["convert", tensors], outPT,
      ["to-pytorch", tensors], theirsPT
    ),
    (
      "PyTorch to safetensors as bfloat16", ["convert", pytorch, "--to-dtype", "bfloat16"], out,
      ["bfloat16", pytorch], theirs
    ),
    (
      "shard (save_torch_state_dict)", ["shard", tensors, "--max-size", "200MB"], outFolder,
      ["shard", tensors], theirFolder
    ),
    ("join (load_file of each, save_file)", ["join", shards], out, ["join", shards], theirs),
  ]
  let table = MarkdownTable(
    "Formats, \(context.megabytes) MB of float32",
    [
      "work", "ckpt", "the library", "its work alone", "library / ckpt", "its work / ckpt",
      "peak ckpt", "peak library", "peak ratio",
    ])
  for work in works {
    let rounds = try Rounds(
      [
        Side(command: [context.ckpt] + work.ckpt + ["-o", work.out], outputs: [work.out]),
        Side(
          command: context.peer("formats.py", work.peer[0]) + work.peer.dropFirst() + [work.theirs],
          outputs: [work.theirs]),
      ], rounds: context.rounds)
    table.row([
      work.name, seconds(rounds.seconds(0)), seconds(rounds.seconds(1)), seconds(rounds.work(1)),
      text(rounds.ratio(1, to: 0), 1),
      text(rounds.ratio(1, to: 0, of: { $0.workSeconds ?? .nan }), 1), megabytes(rounds.peak(0)),
      megabytes(rounds.peak(1)), text(Double(rounds.peak(1)) / Double(max(1, rounds.peak(0))), 0),
    ])
  }
}
