internal import ArgumentParser
internal import ModelZoo
internal import StateDictKit
internal import TrainingCore

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that a file is whole, and with --model that its weights work.",
    discussion: """
      Reads the container, checksums, the pickle and every tensor's bounds. With --model it then loads \
      the weights into that model and runs it forward, back and through a few steps on one random \
      batch. With --manifest or --lfs it compares files with the digests that were recorded for them. \
      Exit status 1 if something is damaged or off.
      """)

  @Argument(
    help: "The checkpoint; with --manifest a folder or a file, the manifest's folder if not given.")
  var file: String?
  @Option(
    help:
      "Run the weights as this model: a name such as resnet18, with options as in \"llama:heads=8\", or a description, FILE.yml."
  )
  var model: String?
  @Option(help: "Where in the file the state dict is: keys joined by /.") var at: String?
  @Option(
    help: "Compare files with a manifest: of hash --manifest, or a signature of model-signing.")
  var manifest: String?
  @Option(
    help: ArgumentHelp(
      "Compare the file with a pointer of Git LFS, with sha256:…, or with the Hub's cache.",
      discussion: """
        cache stands for the name of the blob that the file is in Hugging Face's cache, or for what is \
        recorded beside a download into a folder.
        """,
      valueName: "pointer"))
  var lfs: String?
  @Option(help: "How many steps are trained on one batch.") var steps = 5
  @Option(help: "What inputs and labels are drawn from.") var seed: UInt64 = 0
  @Option(
    help: ArgumentHelp(
      "Instead, write what the model computes of the file's own tensors input and target.",
      discussion: """
        Logits, three losses, gradients' norms and weights after three steps of SGD; in 64 bits where the \
        input is of 64 bits.
        """,
      valueName: "out"))
  var dump: String?
  @Flag(help: "Replace what --dump writes if it exists.") var force = false
  @OptionGroup(title: "What the keys are called in the model") var renames: RenameOptions
  @OptionGroup var recipes: RecipeOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    guard (0...10_000).contains(steps) else {
      throw ValidationError("--steps is a number from 0 to 10000")
    }
    if dump != nil, model == nil { throw ValidationError("--dump needs --model") }
    if manifest != nil, lfs != nil {
      throw ValidationError("--manifest and --lfs are two ways; choose one")
    }
    if file == nil, manifest == nil {
      throw ValidationError("Missing expected argument '<file>'")
    }
  }

  func run() throws {
    if let manifest { return try RecordedDigests(common).compare(file, withManifest: manifest) }
    guard let file else { return }
    if let lfs { return try RecordedDigests(common).compare(file, withPointer: lfs) }
    try verify(file)
  }

  private func verify(_ file: String) throws {
    var spec = try model.map { try ModelSpec($0) }
    if spec != nil { spec?.options.config = try ModelConfig.beside(file) }
    let zoo = try spec.map { try ModelZoo.standard.including($0) } ?? .standard
    if let spec, let dump { return try writeFigures(of: spec, in: zoo, to: dump, file) }
    let report = try integrity(of: file)
    var verification: ModelVerification?
    var matches: [ModelMatch] = []
    if report.isIntact {
      if let spec {
        var options = ModelVerification.Options()
        (options.steps, options.seed) = (steps, seed)
        verification = try ModelVerification(
          of: stateDict(report.checkpoint, of: file), as: spec, in: zoo, options)
      } else if let stateDict = try? stateDict(report.checkpoint, of: file) {
        // A file without a model's weights may still be intact.
        matches = (try? zoo.matches(stateDict)) ?? []
      }
    }
    if common.json {
      try printJSON(VerifyReport(file: file, report, verification, matches))
    } else {
      show(report)
      if let verification { verification.show() } else { Self.show(matches) }
    }
    if !report.isIntact || verification?.isSound == false { throw NegativeAnswer() }
  }

  /// The state dict of `checkpoint`, or of the file if it is not open yet.
  private func stateDict(_ checkpoint: Checkpoint?, of file: String) throws -> StateDict {
    let all = try (checkpoint ?? Checkpoint(contentsOf: file)).chosenStateDict(at)
    let (stateDict, report) = try all.applying(all.steps(of: renames.keyRules(with: recipes)))
    try reportUnmatched(report, of: file)
    return stateDict
  }

  private func writeFigures(
    of spec: ModelSpec, in zoo: ModelZoo, to path: String, _ file: String
  ) throws {
    let checkpoint = try Checkpoint(contentsOf: file)
    let root = try checkpoint.stateDict(at: "/")
    guard let input = root["input"], let target = root["target"] else {
      throw InputError(
        description: "there are no tensors input and target to compute with (\(file))",
        hint: "save them beside the state dict: {\"state\": …, \"input\": …, \"target\": …}")
    }
    let state = try stateDict(checkpoint, of: file)
    let model = try zoo.makeModel(spec, fitting: state)
    try model.module.load(state)
    let given = try Variable(input)
    if given.scalarType == .float64 { try model.module.convert(to: .float64) }
    let figures = try ModelFigures(model, input: given, targets: Variable(target))
    try Checkpoint(figures.stateDict()).write(to: path, replacingExisting: force)
  }

  /// Verifies the whole file.
  private func integrity(of file: String) throws -> IntegrityReport {
    let cancellation = Cancellation()
    let watch = SignalWatch(cancellation, exitStatus: ExitStatus.of(.interrupted))
    defer { withExtendedLifetime(watch) {} }
    let bar = common.noProgress ? nil : ProgressBar(total: Folder.byteCount(ofFileAt: file) ?? 0)
    defer { bar?.finish() }
    return try IntegrityReport(
      file, cancellation: cancellation, progress: { bar?.advance(by: $0) })
  }

  private func show(_ report: IntegrityReport) {
    for problem in report.problems {
      let key = problem.key.map { ", tensor \(Messages.line($0))" } ?? ""
      print("damaged: \(Messages.line(problem.description))\(key)")
    }
    if !report.unrecorded.isEmpty {
      print(
        "\(report.unrecorded.count) records have no checksum recorded; only their sizes were checked"
      )
    }
    for name in report.unusedFiles {
      print("not of this checkpoint, and not checked: \(Messages.line(name))")
    }
    let counts =
      "\(report.recordCount) records, \(report.tensorCount) tensors, \(bytesText(report.byteCount))"
    print((report.isIntact ? "intact: " : "\(report.problems.count) damaged: ") + counts)
    if let other = report.other {
      print("it is \(other.name), no checkpoint; \(other.hint)")
    }
  }

  private static func show(_ matches: [ModelMatch]) {
    for match in matches.prefix(3) {
      var text = "keys fit \(match.name): \(match.matched) of \(match.count)"
      if !match.prefix.isEmpty { text += " behind \"\(match.prefix)\"" }
      if match.lacksOnlyHead { text += ", all but the head" }
      if !match.unexpected.isEmpty {
        text += ", \(match.unexpected.count) more are not the model's"
      }
      var call = "--model \(match.name)"
      if match.lacksOnlyHead { call += ":classes=N" }
      if !match.prefix.isEmpty { call += " --strip-prefix \(match.prefix)" }
      print(Messages.line(text + " (" + call + " runs it)"))
    }
  }
}
