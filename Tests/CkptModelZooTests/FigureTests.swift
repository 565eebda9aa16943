import CkptPatterns
import ModelZoo
import StateDictKit
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing
import TrainingCore

/// Tiny models of torchvision and transformers and what PyTorch computes with them; see `fixtures/models.py`.
struct ModelFixture {
  let checkpoint: Checkpoint

  init(_ name: String, in folder: String = "models") throws {
    checkpoint = try Checkpoint(contentsOf: Fixtures.path("\(folder)/\(name).pt"))
  }

  func state(_ at: String) throws -> StateDict { try checkpoint.stateDict(at: at) }

  /// The plain tensors beside the state dicts.
  func variable(_ key: String) throws -> Variable {
    try Variable(#require(try checkpoint.stateDict(at: "/")[key], "\(key)"))
  }
}

/// Expects numbers to be PyTorch's: off by at most `limit` of the largest of them.
func expectClose(
  _ found: [Double], _ wanted: [Double], _ what: String, limit: Double = 1e-4,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(found.count == wanted.count, "\(what)", sourceLocation: sourceLocation)
  let size = wanted.map(\.magnitude).max() ?? 0
  let worst = zip(found, wanted).map { ($0 - $1).magnitude }.max() ?? 0
  #expect(worst <= limit * max(size, 1e-3), "\(what)", sourceLocation: sourceLocation)
}

/// Expects a model to compute what PyTorch did, in 64 bits: outputs, losses, gradients' norms and weights
/// after three steps, to 1e-5.
func expectFigures(of model: ZooModel, _ fixture: ModelFixture) throws {
  let state = try fixture.state("state")
  try model.module.load(state)
  try model.module.convert(to: .float64)
  var input = try fixture.variable("input")
  if input.scalarType == .float32 { input = try input.converted(to: .float64) }
  let figures = try ModelFigures(model, input: input, targets: fixture.variable("target"))
  expectClose(
    try figures.outputs.doubles(), try fixture.variable("logits").doubles(), "logits",
    limit: 1e-5)
  expectClose(figures.losses, try fixture.variable("losses").doubles(), "losses", limit: 1e-5)
  let norms = try fixture.state("norms")
  #expect(norms.count == figures.gradientNorms.count)
  let largest = try norms.tensors.map { try Variable($0.tensor).item() }.max() ?? 0
  for (key, norm) in figures.gradientNorms {
    let wanted = try Variable(#require(norms[key], "\(key)")).item()
    // What is 0 but for rounding is held against the others.
    let difference = (norm - wanted).magnitude
    #expect(difference <= 1e-5 * max(wanted, 1e-3 * largest), "\(key): \(norm), not \(wanted)")
  }
  for (key, tensor) in try fixture.state("after").tensors {
    let own = try #require(figures.after[key], "\(key)")
    expectClose(
      try Variable(own).doubles(), try Variable(tensor).doubles(), key, limit: 1e-5)
  }
}

@Suite("Whole models compute what PyTorch computes")
struct FigureTests {
  /// Fixtures, and the models that they are of.
  static let cases: [(fixture: String, model: String)] = [
    ("resnet18", "resnet18"), ("resnet50", "resnet50"), ("vgg16", "vgg16"),
    ("mobilenet_v2", "mobilenet_v2"), ("vit_b_16", "vit_b_16:heads=2"), ("bert", "bert:heads=2"),
    ("bert_mlm", "bert:heads=2"), ("gpt2", "gpt2:heads=2"), ("llama", "llama:heads=2"),
    ("mlp", "mlp"),
  ]

  @Test(
    "logits, losses, gradients' norms and weights after three steps, to 1e-5", arguments: cases)
  func figures(_ each: (fixture: String, model: String)) throws {
    let fixture = try ModelFixture(each.fixture)
    let state = try fixture.state("state")
    try expectFigures(
      of: ModelZoo.standard.makeModel(ModelSpec(each.model), fitting: state), fixture)
  }

  @Test("every fixture's keys are told to be its model's", arguments: cases)
  func recognized(_ each: (fixture: String, model: String)) throws {
    let state = try ModelFixture(each.fixture).state("state")
    let name = try ModelSpec(each.model).name
    let found = try ModelZoo.standard.matches(state)
    #expect(found.first?.name == name)
    #expect(found.first?.isExact == true)
    let prefixed = try state.renamingKeys(.addPrefix("module."))
    let behind = try ModelZoo.standard.matches(prefixed).first
    if name != "mlp" {
      #expect(behind?.name == name)
      #expect(behind?.prefix == "module.")
    }
  }
}

@Suite("Fine-tuning from a self-supervised checkpoint")
struct FineTuningTests {
  @Test(
    "a new head alone, then everything at two rates: PyTorch's rates and losses, epoch by epoch")
  func workflow() throws {
    let moco = try Checkpoint(contentsOf: Fixtures.path("models/moco.pt"))
    let prefix = "module.encoder_q."
    let backbone = try moco.stateDict(at: "state_dict")
      .filter(include: "under:module.encoder_q", exclude: "under:module.encoder_q.fc")
      .renamingKeys(.stripPrefix(prefix))
    let model = try ModelZoo.standard.makeModel(
      ModelSpec("resnet18:classes=7"), fitting: backbone)
    let module = model.module
    let report = try module.load(backbone, strict: false)
    #expect(report.missing == ["fc.weight", "fc.bias"])
    #expect(report.unexpected.isEmpty && report.mismatched.isEmpty)
    // The new head is PyTorch's own default: within 1 / √inputs.
    let fresh = try #require(module.parameters(matching: KeyPattern("is:fc.weight")).first)
    #expect(fresh.shape == [7, 16])
    #expect(try fresh.floats().allSatisfy { $0 != 0 && $0.magnitude <= 0.25 })

    let expected = try ModelFixture("fine_tuning")
    try module.load(expected.state("head"), strict: false)
    let batches = try expected.state("batches")
    func batch(_ number: Int) throws -> (Variable, Variable) {
      (
        try Variable(#require(batches["\(number).input"])),
        try Variable(#require(batches["\(number).target"]))
      )
    }
    var (rates, losses): ([[Double]], [Double]) = ([], [])
    func epochs(_ optimizer: SGD, _ count: Int) throws {
      let scheduler = try StepLR(optimizer, stepSize: 1, gamma: 0.1)
      for _ in 0..<count {
        rates.append(optimizer.learningRates)
        module.train()
        var total = 0.0
        for number in 0..<2 {
          let (input, targets) = try batch(number)
          optimizer.zeroGrad()
          let each = try module(input).crossEntropy(targets, reduction: .none)
          let loss = try each.mean()
          try loss.backward()
          try optimizer.groups.flatMap(\.parameters).clipGradNorm(maxNorm: 5)
          try optimizer.step()
          total += try loss.item()
        }
        losses.append(total / 2)
        scheduler.step()
      }
    }

    #expect(try module.freeze(except: KeyPattern("under:fc")) == 2)
    #expect(module.trainableParameters.map(\.key) == ["fc.weight", "fc.bias"])
    let head = try SGD(
      module.trainableParameters.map(\.parameter), learningRate: 0.02, momentum: 0.9,
      weightDecay: 0.001)
    try epochs(head, 3)
    #expect(
      module.namedParameters.allSatisfy { $0.key.hasPrefix("fc.") || $0.parameter.grad == nil })

    #expect(try module.unfreeze() == module.parameters.count)
    let all = try SGD(
      .init(learningRate: 0.02, momentum: 0.9, weightDecay: 0.001),
      groups: [
        .init(try module.parameters(notMatching: KeyPattern("under:fc"))),
        .init(try module.parameters(matching: KeyPattern("under:fc"))) { $0.learningRate = 0.2 },
      ])
    try epochs(all, 3)

    let wantedRates = try expected.variable("rates").doubles()
    let padded = rates.flatMap { $0 + [Double](repeating: 0, count: 2 - $0.count) }
    expectClose(padded, wantedRates, "rates", limit: 1e-12)
    expectClose(losses, try expected.variable("losses").doubles(), "losses")
    for (key, tensor) in try expected.state("after").tensors {
      let own = try #require(module.stateDict()[key], "\(key)")
      expectClose(try Variable(own).doubles(), try Variable(tensor).doubles(), key)
    }
  }
}
