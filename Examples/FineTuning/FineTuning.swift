internal import ArgumentParser

// What the library is for, as programs of one's own write it: weights of another training are taken over,
// trained, and handed on to PyTorch, or taken from there. `make interop` compares every figure with PyTorch's.
@main
struct FineTuning: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fine-tuning-example", abstract: "Fine-tuning without Python.",
    subcommands: [FromMoCo.self, Continue.self])
}
