import Foundation
import ModelZoo
import StateDictKit
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing
import TrainingCore

@Suite("Described models compute what PyTorch computes; see fixtures/described.py")
struct DescribedModelTests {
  /// Fixtures, and what is told about them beyond their descriptions.
  static let cases: [(fixture: String, options: [String: String])] = [
    ("densenet121", ["layers1": "2", "layers2": "3", "layers3": "2", "layers4": "2"]),
    ("mlp_mixer", [:]), ("albert", ["layers": "3", "heads": "2"]), ("convnext", [:]),
    ("signal", [:]), ("gated", [:]), ("encoder", [:]),
  ]

  private func description(_ name: String) throws -> ModelDescription {
    let example = Fixtures.path("../Examples/models/\(name).yml")
    return try ModelDescription(
      contentsOf: FileManager.default.fileExists(atPath: example)
        ? example : Fixtures.path("described/\(name).yml"))
  }

  @Test(
    "logits, losses, gradients' norms and weights after three steps, to 1e-5", arguments: cases)
  func figures(_ each: (fixture: String, options: [String: String])) throws {
    let fixture = try ModelFixture(each.fixture, in: "described")
    let shapes = try StateShapes(fixture.state("state"))
    let model = try description(each.fixture).makeModel(
      fitting: shapes, ModelOptions(each.options), from: RandomSource(seed: 1))
    try expectFigures(of: model, fixture)
  }

  @Test("described models are verified and checked as those known by name are", arguments: cases)
  func verified(_ each: (fixture: String, options: [String: String])) throws {
    let state = try ModelFixture(each.fixture, in: "described").state("state")
    let description = try description(each.fixture)
    let options = ModelOptions(each.options)
    let found = try ModelVerification(of: state, as: description, sizes: options)
    #expect(found.report.loaded.count == found.keyCount)
    let run = try #require(found.run)
    #expect(run.reached == run.parameters)
    #expect(try #require(run.losses.last) < run.losses[0])
    // What is drawn at random and not trained may look it; nothing else is off.
    #expect(found.problems.allSatisfy { $0.kind == .initialization })

    let zoo = ModelZoo(families: [description])
    let spec = ModelSpec(name: description.name, options: options)
    let own = try zoo.reference(spec, for: state)
    #expect(try state.validate(against: own.stateDict).isLoadable)
    let wrapped = try state.renamingKeys(.addPrefix("module."))
    let behind = try zoo.reference(spec, for: wrapped)
    #expect(behind.sizes == .inferredBehindPrefix)
    #expect(behind.stateDict.keys == own.stateDict.keys)
    let match = try #require(try zoo.matches(wrapped).first)
    #expect(match.prefix == "module.")
  }

  @Test("what is damaged is told of described models, too")
  func damaged() throws {
    let state = try ModelFixture("albert", in: "described").state("state")
    let description = try description("albert")
    let sizes = ModelOptions(["layers": "3", "heads": "2"])
    func problems(_ state: StateDict) throws -> [WeightProblem] {
      try ModelVerification(of: state, as: description, sizes: sizes).problems
    }
    let part = "albert.encoder.albert_layer_groups.0.albert_layers.0."
    var zeros = state
    let tensor = try #require(state[part + "ffn.weight"])
    zeros[part + "ffn.weight"] = try Tensor(
      [Float](repeating: 0, count: tensor.elementCount), shape: tensor.shape)
    #expect(try problems(zeros).first { $0.kind == .zeros }?.keys == [part + "ffn.weight"])
    let less = state.filter { key, _ in key != part + "ffn.bias" }
    #expect(try problems(less).first { $0.kind == .missingKeys }?.keys == [part + "ffn.bias"])
    // Biases of keys that are large where those of queries are not.
    var swapped = state
    for (name, value) in [("query", Float(0)), ("key", 1)] {
      swapped[part + "attention.\(name).bias"] = try Tensor(
        [Float](repeating: value, count: 16), shape: [16])
    }
    #expect(
      try problems(swapped).first { $0.kind == .swappedQueryAndKey }?.keys == [part + "attention"])
    let headless = state.filter { key, _ in !key.hasPrefix("classifier.") }
    let new = try ModelVerification(
      of: headless, as: description,
      sizes: ModelOptions(["layers": "3", "heads": "2", "classes": "7"]))
    #expect(!new.problems.contains { $0.kind == .missingKeys })
    #expect(new.run?.chance == Foundation.log(7.0))
  }

  @Test("what is not told is inferred: input, classes and head")
  func inferred() throws {
    func model(_ yaml: String, _ options: [String: String] = [:]) throws -> ZooModel {
      try ModelDescription(yaml: yaml).makeModel(
        fitting: StateShapes(StateDict()), ModelOptions(options), from: RandomSource(seed: 1))
    }
    let images = try model(
      """
      model:
        conv: Conv2d(6, 8, 3, groups=2)
        fire:
          - ReLU()
          - Conv2d(8, 12, kernel_size=1)
        forward: flatten(adaptive_avg_pool2d(fire(conv(x)), 1), 1)
      """)
    #expect(images.input == .images(channels: 6, size: 64))
    #expect(images.objective == .classes(12))
    #expect(images.head == ["fire.1"])
    #expect(images.hyperparameters.map(\.name) == ["classes"])
    let tokens = try model(
      """
      model:
        embed: Embedding(30, 4)
        forward: embed(x).mean(1)
      classes: none
      """)
    #expect(tokens.input == .tokens(vocabulary: 30, length: 16))
    #expect(tokens.objective == .numbers)
    let vectors = try model(
      """
      sizes:
        width: 3 * 2
      model:
        a: Linear(width, 5)
        b: Linear(5, 1)
      """, ["width": "4"])
    #expect(vectors.input == .features(4))
    #expect(vectors.objective == .numbers)
  }

  @Test("parts may be called what arguments, sizes or functions are called")
  func names() throws {
    let fire = try ModelDescription(
      yaml: """
        model:
          features:
            "0": Conv2d(3, 8, kernel_size=3, stride=2)
            3: Fire(8, 2, expand=4)
          forward: features(x).mean([2, 3])
        blocks:
          Fire(inputs, squeeze, expand):
            squeeze: Conv2d(inputs, squeeze, kernel_size=1)
            expand:
              - Conv2d(squeeze, expand, kernel_size=1)
            forward:
            - x = relu(squeeze(x) * squeeze.bias[0])
            - cat([expand[0](x), expand(x)], 1)
        classes: none
        """
    ).makeModel(fitting: StateShapes(StateDict()), ModelOptions(), from: RandomSource(seed: 1))
    #expect(fire.module.stateShapes.map(\.key).contains("features.3.expand.0.weight"))
    let outputs = try fire.module(fire.randomInput(count: 2, from: RandomSource(seed: 1)))
    #expect(outputs.shape == [2, 8])
  }

  @Test("the description that docs/models.md shows is one")
  func documentation() throws {
    let text = try String(contentsOfFile: Fixtures.path("../docs/models.md"), encoding: .utf8)
    let parts = text.components(separatedBy: "```yaml\n")
    #expect(parts.count == 2)
    let yaml = try #require(parts.last?.components(separatedBy: "```").first)
    let description = try ModelDescription(yaml: yaml)
    var state = StateDict()
    for (key, shape) in [
      ("stem.0.weight", [8, 3, 3, 3]), ("stages.0.bn1.weight", [2]), ("stages.1.bn1.weight", [2]),
    ] {
      state[key] = try Tensor([Float](repeating: 1, count: shape.reduce(1, *)), shape: shape)
    }
    let model = try description.makeModel(
      fitting: StateShapes(state), ModelOptions(), from: RandomSource(seed: 1))
    #expect(model.module.stateShapes.contains { $0.key == "stages.1.conv2.weight" })
    #expect(model.head == ["head"])
    let outputs = try model.module(model.randomInput(count: 2, from: RandomSource(seed: 1)))
    #expect(outputs.shape == [2, 10])
  }
}
