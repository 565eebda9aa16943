internal import Foundation
public import CkptPlatform
public import CkptStateDicts
internal import TrainingCore

/// The result of loading weights into a model and running it, which shows whether the weights are
/// valid for the model.
///
/// ```swift
/// let state = try Checkpoint("resnet18.pth").stateDict()
/// let result = try ModelVerification(of: state, as: ModelSpec("resnet18"))
/// print(result.problems.map(\.description))
/// ```
public struct ModelVerification {
  /// Options for running the model.
  public struct Options: Sendable, Hashable {
    /// The number of training steps on one batch.
    public var steps = 5
    /// The seed for inputs, labels and new layers.
    public var seed: UInt64 = 0
    /// The number of inputs in the batch; nil for 4, or 2 for large inputs.
    public var batchSize: Int?

    /// Creates options of five steps with seed 0.
    public init() {}
  }

  /// The model after the training steps.
  public let model: ZooModel
  /// The keys that were loaded, and those that were not.
  public let report: LoadReport
  /// The number of the model's keys.
  public let keyCount: Int
  /// The problems with the weights.
  public private(set) var problems: [WeightProblem] = []
  /// Observations that are not problems.
  public private(set) var notes: [String] = []
  /// The results of running the model; nil if it was not run.
  public private(set) var run: Run?

  /// The results of running a model.
  public struct Run: Sendable, Hashable {
    /// The expected cross entropy of random labels, in evaluation mode; nil without classes.
    public var lossOfRandomLabels: Double?
    /// The cross entropy of a uniform guess, the natural logarithm of the number of classes; nil
    /// without classes.
    public var chance: Double?
    /// The number of parameters whose gradients are finite and not all zero.
    public var reached = 0
    /// The number of parameters.
    public var parameters = 0
    /// The Euclidean norm of all gradients together.
    public var gradientNorm = 0.0
    /// The loss on the batch before each step and after the last.
    public var losses: [Double] = []
  }

  /// Whether there are no problems.
  public var isSound: Bool { problems.isEmpty }

  /// Loads a state dict into a model, inspects the weights, and runs the model on a random batch.
  ///
  /// Problems with the weights are not thrown, but added to ``problems``.
  ///
  /// - Parameters:
  ///   - stateDict: the weights.
  ///   - spec: the model.
  ///   - zoo: the zoo that contains the model.
  ///   - options: how the model is run.
  ///   - cancellation: cancels the work between two passes of the model.
  /// - Throws: `ZooError` if the model cannot be built; `TrainingError` if it cannot be run;
  ///   `CancelledError`; what reading tensors throws.
  public init(
    of stateDict: StateDict, as spec: ModelSpec, in zoo: ModelZoo = .standard,
    _ options: Options = Options(), cancellation: Cancellation? = nil
  ) throws {
    try cancellation?.check()
    let random = RandomSource(seed: options.seed)
    let model = try zoo.makeModel(spec, fitting: stateDict, from: random)
    self.model = model
    notes = model.notes
    keyCount = model.module.stateShapes.count
    var stateDict = stateDict
    if spec.options.values["classes"] != nil {
      let all = stateDict.keys
      stateDict = stateDict.filter { key, _ in !model.isHead(key) }
      notes.append("the head is new; \(all.count - stateDict.count) keys of the file are left out")
    }
    report = try model.module.load(stateDict, strict: false)
    let fits = judgeKeys(hasNewHead: spec.options.values["classes"] != nil, zoo, stateDict)
    let inspection = try WeightInspection(model, loaded: Set(report.loaded))
    problems += inspection.problems
    notes += inspection.notes
    guard fits else { return }
    let missing = Set(report.missing)
    let new = model.module.stateShapes.filter { missing.contains($0.key) }
      .reduce(0) { $0 + $1.shape.reduce(1, *) }
    guard new <= Self.mostNewElements else { throw ZooError.tooManyNew(elements: new) }
    try judgeRun(options, random, cancellation)
  }

  /// Loads a state dict into a model, inspects the weights, and runs the model on a random batch,
  /// asynchronously. If the task is canceled, the work stops between two passes of the model.
  ///
  /// - Parameters:
  ///   - stateDict: the weights.
  ///   - spec: the model.
  ///   - zoo: the zoo that contains the model.
  ///   - options: how the model is run.
  /// - Throws: `ZooError` if the model cannot be built; `TrainingError` if it cannot be run;
  ///   `CancelledError`; what reading tensors throws.
  public static func verify(
    _ stateDict: StateDict, as spec: ModelSpec, in zoo: ModelZoo = .standard,
    _ options: Options = Options()
  ) async throws -> ModelVerification {
    let cancellation = Cancellation()
    return try await withTaskCancellationHandler {
      try ModelVerification(of: stateDict, as: spec, in: zoo, options, cancellation: cancellation)
    } onCancel: {
      cancellation.cancel()
    }
  }

  /// The maximum number of elements of a new head, since they are initialized in memory.
  static let mostNewElements = 1 << 28

  /// Finds the problems with keys and shapes; returns whether the model can be run.
  private mutating func judgeKeys(hasNewHead: Bool, _ zoo: ModelZoo, _ stateDict: StateDict)
    -> Bool
  {
    let model = model
    // Statistics of a layer that is otherwise present; if a layer is missing completely, its
    // statistics are counted as missing keys.
    let statistics = report.missing.filter { key in
      guard let dot = key.lastIndex(of: ".") else { return false }
      return ["running_mean", "running_var", "num_batches_tracked"].contains(
        key[dot...].dropFirst())
        && !report.missing.contains(key[...dot] + "weight")
    }
    let missing = report.missing.filter { key in
      !statistics.contains(key) && !(hasNewHead && model.isHead(key))
    }
    let unexpected = report.unexpected.filter { key in
      !model.ignorable.contains { key.hasSuffix($0) }
    }
    if !statistics.isEmpty {
      problems.append(
        WeightProblem(
          .missingStatistics, "BatchNorm statistics are missing", keys: statistics,
          remedy: "save model.state_dict(), which has the buffers, not the parameters alone"))
    }
    if !missing.isEmpty {
      problems.append(
        WeightProblem(
          .missingKeys, "missing", keys: missing, remedy: remedy(for: missing, zoo, stateDict)))
    }
    if !report.mismatched.isEmpty {
      let shapes = report.mismatched.prefix(3).map(\.description).joined(separator: ", ")
      problems.append(
        WeightProblem(
          .shapeMismatch, "of another shape: \(shapes)", keys: report.mismatched.map(\.key),
          remedy: mismatchRemedy))
    }
    if !unexpected.isEmpty {
      problems.append(WeightProblem(.unexpectedKeys, "not the model's", keys: unexpected))
    }
    return missing.allSatisfy(model.isHead) && report.mismatched.isEmpty && statistics.isEmpty
  }

  /// The likely reason for missing keys, as a suggestion.
  private func remedy(
    for missing: [String], _ zoo: ModelZoo, _ stateDict: StateDict
  ) -> Remedy? {
    let options = (try? zoo.family(model.name))?.options ?? []
    if missing.allSatisfy(model.isHead), options.contains(where: { $0.name == "classes" }) {
      return "the head alone is missing: \(.newHead(model: model.name)) gives it a new one"
    }
    let matches = (try? zoo.matches(stateDict)) ?? []
    guard let match = matches.first(where: { $0.name == model.name && !$0.prefix.isEmpty }) else {
      return nil
    }
    return "the keys fit behind \"\(match.prefix)\": add \(.stripPrefix(match.prefix))"
  }

  /// The suggestion if queries and keys of a layer have each other's shape.
  private var mismatchRemedy: Remedy? {
    let found = Dictionary(
      report.mismatched.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    for (key, mismatch) in found {
      for (query, other) in [("q_proj", "k_proj"), ("query", "key")] where key.contains(query) {
        guard let partner = found[key.replacing(query, with: other)] else { continue }
        if partner.found == mismatch.expected, partner.expected == mismatch.found {
          return "queries and keys have each other's shape: they have changed places"
        }
      }
    }
    return nil
  }

  // MARK: - Running

  private mutating func judgeRun(
    _ options: Options, _ random: RandomSource, _ cancellation: Cancellation?
  ) throws {
    try cancellation?.check()
    let module = model.module
    let size = options.batchSize ?? (model.isLarge ? 2 : 4)
    let input = try model.randomInput(count: size, from: random)
    var run = Run()
    let outputs = try noGrad { try module.eval()(input) }
    guard try outputs.floats().allSatisfy(\.isFinite) else {
      problems.append(WeightProblem(.forward, "the outputs are not finite"))
      self.run = run
      return
    }
    if case .classes(let count) = model.objective {
      // The mean over all labels, rather than over a sample of them.
      let logits = try outputs.reshaped([-1, count]).logSoftmax(dimension: 1)
      let loss = -(try logits.mean().item())
      let chance = Foundation.log(Double(count))
      (run.lossOfRandomLabels, run.chance) = (loss, chance)
      if loss > chance + Self.mostAboveChance {
        problems.append(
          WeightProblem(
            .chance,
            "random labels have a loss of \(Self.text(loss)), where \(Self.text(chance)) is chance: "
              + "the outputs are far too large"))
      }
    }
    let targets = try model.randomTargets(for: outputs.shape, from: random)
    // Dropout is disabled, because its noise would hide whether the loss decreases.
    for (_, part) in module.train().namedModules where part is Dropout { part.eval() }
    try cancellation?.check()
    try judgeGradients(input, targets, &run)
    try train(input, targets, options.steps, &run, cancellation)
    self.run = run
  }

  /// The maximum difference between the expected loss of random labels and the logarithm of the
  /// number of classes. The expected loss is never less than that logarithm (Gibbs' inequality).
  /// The difference depends on the model's confidence, so the limit is large, and only detects
  /// outputs that are far too large.
  static let mostAboveChance = 30.0

  private mutating func judgeGradients(_ input: Variable, _ targets: Variable, _ run: inout Run)
    throws
  {
    let module = model.module
    module.zeroGrad()
    let loss = try model.loss(module(input), targets)
    try loss.backward()
    var (notFinite, zero): ([String], [String]) = ([], [])
    var squares = 0.0
    let named = module.namedParameters
    run.parameters = named.count
    for (key, parameter) in named {
      let values = try parameter.grad?.floats() ?? []
      let square = values.reduce(0) { $0 + Double($1) * Double($1) }
      squares += square
      if !square.isFinite {
        notFinite.append(key)
      } else if square == 0, !values.contains(where: { $0 != 0 }) {
        if !model.withoutGradient.contains(where: { key.hasSuffix($0) }) { zero.append(key) }
      } else {
        run.reached += 1
      }
    }
    run.gradientNorm = squares.squareRoot()
    if !notFinite.isEmpty {
      problems.append(
        WeightProblem(.gradientNotFinite, "the gradients are not finite", keys: notFinite))
    }
    if !zero.isEmpty {
      problems.append(WeightProblem(.gradientZero, "no gradient gets there", keys: zero))
    }
  }

  /// Takes steps of gradient descent with Polyak's step length: the learning rate at which a
  /// fraction of the loss would vanish if the loss were linear. The fraction is halved whenever the
  /// loss has increased, so that no learning rate needs to be chosen.
  private mutating func train(
    _ input: Variable, _ targets: Variable, _ steps: Int, _ run: inout Run,
    _ cancellation: Cancellation?
  ) throws {
    let module = model.module
    let optimizer = try SGD(module.parameters, learningRate: 0)
    var part = 0.2
    for step in 0...max(steps, 0) {
      try cancellation?.check()
      let wantsStep = step < steps
      optimizer.zeroGrad()
      let loss = try model.loss(module(input), targets)
      let value = try loss.item()
      if let last = run.losses.last, !(value < last) { part /= 2 }
      run.losses.append(value)
      guard wantsStep, value.isFinite else { break }
      try loss.backward()
      let norm = try module.parameters.totalGradNorm()
      guard norm.isFinite, norm > 0 else { break }
      optimizer.groups[0].options.learningRate = part * value / (norm * norm)
      try optimizer.step()
    }
    optimizer.zeroGrad()
    guard steps > 0, let first = run.losses.first else { return }
    // A step that was too large may have increased the loss again.
    if run.losses.count <= steps || !run.losses.contains(where: { $0 < first }) {
      problems.append(
        WeightProblem(
          .loss,
          "the loss on one batch does not fall: \(run.losses.map(Self.text).joined(separator: ", "))"
        ))
    }
  }

  static func text(_ value: Double) -> String {
    value.isFinite ? String(format: "%.4g", value) : "\(value)"
  }
}

extension ZooModel {
  /// Whether inputs are so large that the batch is smaller.
  fileprivate var isLarge: Bool {
    switch input {
    case .images(_, let size): size > 96
    case .numbers: input.elementCount > 3 * 96 * 96
    case .features, .tokens: false
    }
  }
}
