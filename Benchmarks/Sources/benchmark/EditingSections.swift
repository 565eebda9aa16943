import Foundation

/// filter, rename-keys and merge update beside `cp` of the output and beside PyTorch.
func measureEditing(_ context: Context) throws {
  let a = try context.checkpoint("float32", seed: 1)
  let b = try context.checkpoint("float32", seed: 2)
  let (out, copy, theirs) = (
    context.file("out.pt"), context.file("copy.pt"), context.file("peer.pt")
  )
  let works: [(name: String, ckpt: [String], peer: [String])] = [
    ("filter", ["filter", a, "--exclude", "head"], ["filter", a]),
    ("rename-keys", ["rename-keys", a, "--strip-prefix", "module."], ["rename", a]),
    ("merge update", ["merge", a, b], ["update", a, b]),
  ]
  let table = MarkdownTable(
    "Editing \(context.megabytes) MB of float32",
    [
      "work", "ckpt", "--no-verify", "`cp` of the output", "`cp` and `sync`", "ckpt / cp",
      "ckpt / cp and sync", "PyTorch, mmap", "its work alone", "PyTorch / ckpt",
      "its work / ckpt", "peak ckpt", "peak PyTorch",
    ])
  for work in works {
    // What `cp` copies must stay while the sides take turns.
    let kept = context.file("kept.pt")
    _ = try Side(command: [context.ckpt] + work.ckpt + ["-o", kept], outputs: [kept])
      .measured(keepingOutputs: true)
    let own = [context.ckpt] + work.ckpt + ["-o", out]
    let rounds = try Rounds(
      [
        Side(command: own, outputs: [out]),
        Side(command: ["cp", "--reflink=never", kept, copy], outputs: [copy]),
        Side(
          command: ["sh", "-c", "cp --reflink=never '\(kept)' '\(copy)' && sync '\(copy)'"],
          outputs: [copy]),
        Side(command: own + ["--no-verify"], outputs: [out]),
        Side(
          command: context.peer("pytorch.py", work.peer[0]) + work.peer.dropFirst() + [theirs],
          outputs: [theirs]),
      ], rounds: context.rounds)
    table.row([
      work.name, seconds(rounds.seconds(0)), seconds(rounds.seconds(3)), seconds(rounds.seconds(1)),
      seconds(rounds.seconds(2)), text(rounds.ratio(0, to: 1)), text(rounds.ratio(0, to: 2)),
      seconds(rounds.seconds(4)), seconds(rounds.work(4)), text(rounds.ratio(4, to: 0), 1),
      text(rounds.ratio(4, to: 0, of: { $0.workSeconds ?? .nan }), 1),
      megabytes(rounds.peak(0)), megabytes(rounds.peak(4)),
    ])
    for path in [out, copy, kept, theirs] { try? FileManager.default.removeItem(atPath: path) }
  }
}

/// ls and show where tensors are many, and where they are large.
func measureLooking(_ context: Context) throws {
  let many = try context.input("many", "many.pt", size: 100_000)
  let sparse = context.file("sparse.pt")
  if !FileManager.default.fileExists(atPath: sparse) {
    _ = try run(context.peer("pytorch.py", "sparse", "100000000000", sparse))
  }
  let table = MarkdownTable(
    "Looking",
    [
      "work", "ckpt", "PyTorch, mmap", "its work alone", "PyTorch / ckpt", "peak ckpt",
      "peak PyTorch",
    ])
  let works = [
    ("ls, 100,000 tensors", "ls", many), ("show, 100,000 tensors", "show", many),
    ("ls, 100 GB sparse", "ls", sparse), ("show, 100 GB sparse", "show", sparse),
  ]
  for (name, command, path) in works {
    let rounds = try Rounds(
      [
        Side(command: [context.ckpt, command, path]),
        Side(command: context.peer("pytorch.py", "ls", path)),
      ], rounds: context.rounds)
    table.row([
      name, seconds(rounds.seconds(0)), seconds(rounds.seconds(1)), seconds(rounds.work(1)),
      text(rounds.ratio(1, to: 0), 1), megabytes(rounds.peak(0)), megabytes(rounds.peak(1)),
    ])
  }
}

/// How long it takes to start.
func measureStart(_ context: Context) throws {
  let rounds = try Rounds(
    [Side(command: [context.ckpt, "--version"]), Side(command: ["true"])],
    rounds: max(context.rounds, 21))
  let table = MarkdownTable("Start", ["work", "ckpt", "`true`"])
  table.row(["--version", seconds(rounds.seconds(0)), seconds(rounds.seconds(1))])
}

/// Peak memory as files grow.
func measureMemory(_ context: Context) throws {
  let table = MarkdownTable("Peak memory", ["size", "work", "peak"])
  let out = context.file("out.pt")
  for gigabytes in [1, 4] {
    let a = context.file("sparse-\(gigabytes)a.pt")
    if !FileManager.default.fileExists(atPath: a) {
      _ = try run(context.peer("pytorch.py", "sparse", "\(gigabytes)000000000", a))
    }
    let works = [
      ["filter", a, "--exclude", "layer1."], ["rename-keys", a, "--add-prefix", "x."],
      ["merge", a, a],
    ]
    for work in works {
      let side = Side(command: [context.ckpt] + work + ["-o", out], outputs: [out])
      table.row(["\(gigabytes) GB", work[0], megabytes(try side.measured().peakBytes)])
      try? FileManager.default.removeItem(atPath: out)
    }
  }
}
