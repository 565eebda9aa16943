import ModelZoo
import CkptStateDicts
import CkptTestSupport
import FineTuning
import StateDictKit
import Testing
import TrainingCore

struct StartingModelTests {
  let classes = ["circle", "square", "triangle"]

  @Test func `All of the backbone is loaded, and the head is new`() throws {
    let start = try StartingModel(
      TuningSetup.options(), classes: classes, weights: TuningSetup.weights())
    #expect(start.backboneShare == 1)
    #expect(start.headSource == .new)
    #expect(start.newKeys == ["fc.weight", "fc.bias"])
    #expect(start.model.module.namedParameters.last?.parameter.shape == [3])
  }

  @Test func `Weights under other names are refused rather than trained without`() throws {
    let prefixed = try TuningSetup.weights().renamingKeys(.addPrefix("net."))
    let error = try #require(throws: FineTuningError.self) {
      try StartingModel(TuningSetup.options(), classes: classes, weights: prefixed)
    }
    guard case .notEnoughLoaded(_, let share, let minimum, let missing) = error else {
      Issue.record("\(error)")
      return
    }
    #expect(share == 0 && minimum == 0.5 && missing.contains("conv1.weight"))
    let part = try TuningSetup.weights().filter(include: "under:conv1", "under:layer1")
    #expect(throws: (any Error).self) {
      try StartingModel(TuningSetup.options(), classes: classes, weights: part)
    }
  }

  @Test func `A head of the same classes is kept, of others it is new`() throws {
    var weights = try TuningSetup.weights()
    let values = (0..<3 * 64).map { Float($0) }
    weights["fc.weight"] = try Tensor(values, shape: [3, 64])
    weights["fc.bias"] = try Tensor([1, 2, 3] as [Float], shape: [3])
    func head(_ known: [String]?, keeps: Bool = false) throws -> (StartingModel.Head, [Float]?) {
      let start = try StartingModel(
        TuningSetup.options(), classes: classes, weights: weights, weightsClasses: known,
        keepsHead: keeps)
      return (
        start.headSource, try start.model.module.stateDict()["fc.weight"]?.floats()
      )
    }
    #expect(try head(classes) == (.kept, values))
    #expect(try head(["a", "b", "c"]).0 == .new)
    #expect(try head(nil).1 != values)
    #expect(try head(nil, keeps: true) == (.kept, values))
    weights["fc.bias"] = try Tensor([1, 2] as [Float], shape: [2])
    #expect(throws: FineTuningError.self) { try head(nil, keeps: true) }
    #expect(try head(classes).0 == .new)
  }

  @Test func `A model of another kind, or another number of classes, is refused`() throws {
    func make(_ model: String, head: String? = nil) throws {
      _ = try StartingModel(
        TuningSetup.options {
          $0.model = model
          $0.head = head
        }, classes: classes, weights: TuningSetup.weights())
    }
    #expect(throws: FineTuningError.classCount(model: "resnet18", expected: 5, found: 3)) {
      try make("resnet18:classes=5")
    }
    #expect(throws: FineTuningError.unknownHead(model: "resnet18", head: "classifier")) {
      try make("resnet18", head: "classifier")
    }
    #expect(throws: (any Error).self) { try make("gpt2") }
    #expect(throws: (any Error).self) { try make("nothing") }
  }
}
