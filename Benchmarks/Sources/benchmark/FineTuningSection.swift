import Foundation

/// Images a second, and `ckpt finetune` beside PyTorch and torchvision with a DataLoader of 2 workers.
func measureFineTuning(_ context: Context) throws {
  let inputs = try FineTuningInputs(context)
  let rounds = min(context.rounds, 3)
  try measureDecoding(context, inputs, rounds)
  let table = MarkdownTable(
    "Fine-tuning a ResNet-18, 224², batches of 32; 400 images, 80 to evaluate on",
    [
      "work", "ckpt", "PyTorch (from one epoch)", "its work alone", "ckpt / PyTorch",
      "ckpt / its work", "goal",
      "peak ckpt", "peak PyTorch", "ckpt / PyTorch", "goal",
    ])
  // PyTorch computes the features of every epoch anew, so that its further epochs take what the
  // first ones take, and need not be run.
  let works: [Work] = [
    Work(name: "all, 1 epoch", goal: "0.6", train: "all", epochs: 1, options: []),
    Work(
      name: "head, fixed transforms, 10 epochs", goal: "0.15", train: "head", epochs: 10,
      options: ["--augment", "none"]),
  ]
  for work in works {
    let runs = try Rounds(
      [
        inputs.own(inputs.photos, work.train, work.epochs, work.options),
        inputs.peer(inputs.photos, work.train, 1),
      ], rounds: rounds, watchingMemory: true)
    let peerWork = runs.work(1) * Double(work.epochs)
    let peer = runs.seconds(1) + peerWork - runs.work(1)
    table.row(
      [
        work.name, seconds(runs.seconds(0)), seconds(peer), seconds(peerWork),
        text(runs.seconds(0) / peer), text(runs.seconds(0) / peerWork), work.goal,
      ] + runs.memoryCells())
  }
  try measureTutorial(inputs)
}

/// What is trained, and for how long.
private struct Work {
  let name, goal, train: String
  let epochs: Int
  let options: [String]
}

/// Decoding, RandomResizedCrop, flip and normalization; nothing is done with the samples.
private func measureDecoding(_ context: Context, _ inputs: FineTuningInputs, _ rounds: Int) throws {
  let epochs = 4
  // The example is built beside the command.
  let check = URL(filePath: context.ckpt).deletingLastPathComponent()
    .appending(path: "CkptImageCheck").path(percentEncoded: false)
  let runs = try Rounds(
    [
      Side(command: [check, "speed", inputs.photos + "/train", "2", "\(epochs)"]),
      Side(command: context.peer("finetune.py", "decode", inputs.photos, "\(epochs)")),
    ], rounds: rounds, watchingMemory: true)
  let images = Double(epochs * inputs.count)
  let table = MarkdownTable(
    "Decoding, RandomResizedCrop, flip, normalization: images/s of 500×375 JPEG files",
    [
      "here, 2 threads", "DataLoader, 2 workers", "its work alone", "here / its work", "goal",
      "peak here", "peak DataLoader", "here / DataLoader", "goal",
    ])
  table.row(
    [
      text(images / runs.seconds(0), 0), text(images / runs.seconds(1), 0),
      text(images / runs.work(1), 0), text(runs.work(1) / runs.seconds(0)), "1.5",
    ] + runs.memoryCells())
}

/// The sizes of the published tutorial (ants and bees); PyTorch's time is that of its start and 25 times one epoch.
private func measureTutorial(_ inputs: FineTuningInputs) throws {
  let own = try inputs.own(inputs.tutorial, "all", 25, []).measured()
  let peer = try inputs.peer(inputs.tutorial, "all", 1).measured()
  let epoch = peer.workSeconds ?? .nan
  let table = MarkdownTable(
    "244 + 153 images, ResNet-18, everything learns, 25 epochs",
    ["ckpt", "goal", "PyTorch, extrapolated from one epoch"])
  table.row([
    seconds(own.seconds), "300 s", seconds(peer.seconds + 24 * epoch),
  ])
}

extension Rounds {
  /// Both peaks, their ratio, and the goal.
  fileprivate func memoryCells() -> [String] {
    guard let own = trees[0], let peer = trees[1] else { return ["", "", "", "0.5"] }
    return [megabytes(own), megabytes(peer), text(Double(own) / Double(peer)), "0.5"]
  }
}

/// Pictures and weights, and the commands that train with them.
private struct FineTuningInputs {
  let context: Context
  /// How many images there are to train on.
  let count = 400
  let photos: String
  let tutorial: String
  let weights: String

  init(_ context: Context) throws {
    func made(_ name: String, _ work: String, _ sizes: String...) throws -> String {
      let path = context.file(name)
      if !FileManager.default.fileExists(atPath: path) {
        _ = try run(context.peer("finetune.py", work, path) + sizes)
      }
      return path
    }
    self.context = context
    photos = try made("photos", "make", "\(count)", "80", "4")
    tutorial = try made("tutorial", "make", "244", "153", "2")
    weights = try made("resnet18.pth", "weights")
  }

  func own(_ folder: String, _ train: String, _ epochs: Int, _ options: [String]) -> Side {
    let out = context.file("run")
    return Side(
      command: [
        context.ckpt, "finetune", folder, "--model", "resnet18", "--weights", weights, "--train",
        train, "--head-lr", "0.001", "--epochs", "\(epochs)", "--no-progress", "-o", out,
      ] + options, outputs: [out])
  }

  func peer(_ folder: String, _ train: String, _ epochs: Int) -> Side {
    let out = context.file("peer-run")
    return Side(
      command: context.peer("finetune.py", train, folder, weights, out, "\(epochs)"),
      outputs: [out])
  }
}
