import CkptStateDicts
import CkptTestSupport
import ModelZoo
import Testing
import TrainingCore

/// What a model's head is called with, so that features of a frozen backbone can be kept.
@Suite struct ChildInputTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let fixture: String
    let folder: String
    var spec = ""
    var options: [String: String] = [:]
    var testDescription: String { fixture }
  }

  /// All models of images with fixtures of PyTorch.
  static let cases = [
    Case(fixture: "resnet18", folder: "models", spec: "resnet18"),
    Case(fixture: "resnet50", folder: "models", spec: "resnet50"),
    Case(fixture: "vgg16", folder: "models", spec: "vgg16"),
    Case(fixture: "mobilenet_v2", folder: "models", spec: "mobilenet_v2"),
    Case(fixture: "vit_b_16", folder: "models", spec: "vit_b_16:heads=2"),
    Case(
      fixture: "densenet121", folder: "described",
      options: ["layers1": "2", "layers2": "3", "layers3": "2", "layers4": "2"]),
    Case(fixture: "mlp_mixer", folder: "described"),
    Case(fixture: "convnext", folder: "described"),
  ]

  /// The model of a case with the fixture's weights.
  private func model(_ each: Case, _ fixture: ModelFixture) throws -> ZooModel {
    let state = try fixture.state("state")
    let model =
      each.spec.isEmpty
      ? try ModelDescription(contentsOf: Fixtures.path("../Examples/models/\(each.fixture).yml"))
        .makeModel(
          fitting: StateShapes(state), ModelOptions(each.options), from: RandomSource(seed: 1))
      : try ModelZoo.standard.makeModel(ModelSpec(each.spec), fitting: state)
    try model.module.load(state)
    return model
  }

  private func described(_ yaml: String) throws -> Module {
    try ModelDescription(yaml: yaml).makeModel(
      fitting: StateShapes(StateDict()), ModelOptions([:]), from: RandomSource(seed: 1)
    ).module
  }

  @Test(arguments: cases)
  func `A head alone computes PyTorch's logits from what it was called with`(each: Case) throws {
    let fixture = try ModelFixture(each.fixture, in: each.folder)
    let model = try model(each, fixture)
    let head = String(try #require(model.head.first).prefix { $0 != "." })
    try model.module.convert(to: .float64)
    // The fixture's logits are those of evaluation mode.
    model.module.eval()
    let input = try fixture.variable("input").converted(to: .float64)
    let found = try #require(try model.module.input(ofChild: head, for: input))
    #expect(found.isOutput && found.isFixed)
    let child = try #require(model.module.module(at: head))
    expectClose(
      try child(found.features).doubles(), try fixture.variable("logits").doubles(), "logits",
      limit: 1e-5)
  }

  @Test(arguments: cases)
  func `Kept features give a frozen model's outputs, bit for bit`(each: Case) throws {
    let fixture = try ModelFixture(each.fixture, in: each.folder)
    let model = try model(each, fixture)
    let module = model.module
    let head = String(try #require(model.head.first).prefix { $0 != "." })
    let child = try #require(module.module(at: head))
    try module.freeze()
    for parameter in child.parameters { parameter.requiresGrad = true }
    module.trainUnlessFrozen()
    try module.setDropout(0)
    let input = try fixture.variable("input")
    let found = try #require(try module.input(ofChild: head, for: input))
    #expect(found.isOutput && found.isFixed)
    #expect(!found.features.requiresGrad)
    #expect(found.features.shape[0] == input.shape[0])
    let output = try module(input)
    #expect(try child(found.features).floats() == output.floats())
    // An image has the same features in another batch, but for rounding.
    let first = try input.sliced(0..<1)
    let alone = try #require(try module.input(ofChild: head, for: first))
    expectClose(
      try alone.features.doubles(), try found.features.sliced(0..<1).doubles(), "features",
      limit: 1e-5)
    module.train()
    let hasBatchNorm = module.namedModules.contains { $0.module is BatchNorm }
    #expect(try #require(try module.input(ofChild: head, for: input)).isFixed == !hasBatchNorm)
  }

  @Test func `A child that other modules follow is not the output`() throws {
    let input = try Variable.ones([2, 3])
    func found(_ forward: String, _ child: String = "fc") throws -> (Bool, Bool)? {
      let model = try described(
        """
        model:
          a: Linear(3, 3)
          fc:
            - Linear(3, 3)
            - Linear(3, 3)
          drop: Dropout(0.5)
          forward: \(forward)
        """
      ).eval()
      let found = try model.input(ofChild: child, for: input)
      #expect(model.namedModules.allSatisfy { $0.module.interceptor == nil })
      return found.map { ($0.isOutput, $0.isFixed) }
    }
    #expect(try #require(try found("fc(a(x))")) == (true, true))
    #expect(try #require(try found("fc(drop(a(x)))")) == (true, true))
    #expect(try #require(try found("fc(fc(a(x)))")) == (false, true))
    #expect(try #require(try found("fc(a(x)) + x")) == (false, true))
    #expect(try #require(try found("relu(fc(a(x)))")) == (false, true))
    // In evaluation mode a dropout returns its input itself.
    #expect(try #require(try found("drop(fc(a(x)))")) == (false, true))
    #expect(try found("fc.1(fc.0(a(x)))") == nil)
    #expect(try found("a(x)") == nil)
    #expect(try found("fc(a(x))", "head") == nil)
    #expect(try found("fc(a(x))", "") == nil)
    #expect(try #require(try found("fc(a(x))", "fc.1")) == (true, true))
    #expect(try #require(try found("fc(a(x))", "fc.0")) == (false, true))
  }

  @Test func `Features are not fixed while something before the child drops elements`() throws {
    let model = try described(
      """
      model:
        a: Linear(3, 3)
        drop: Dropout(0.5)
        fc: Linear(3, 2)
      """)
    let input = try Variable.ones([2, 3])
    #expect(try #require(try model.input(ofChild: "fc", for: input)).isFixed == false)
    try model.setDropout(0)
    #expect(try #require(try model.input(ofChild: "fc", for: input)).isFixed)
    try model.setDropout(0.5)
    #expect(try #require(try model.eval().input(ofChild: "fc", for: input)).isFixed)
  }

  @Test func `Nothing is left in a model whose forward pass fails`() throws {
    let model = try described(
      """
      model:
        a: Linear(3, 3)
        fc: Linear(3, 2)
      """)
    #expect(throws: DescriptionError.self) {
      try model.input(ofChild: "fc", for: Variable.ones([2, 4]))
    }
    #expect(model.namedModules.allSatisfy { $0.module.interceptor == nil })
  }
}
