import ModelZoo
import CkptPlatform
import StateDictKit
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing
import TrainingCore

@Suite("Weights are verified by running them")
struct VerificationTests {
  let trained: StateDict

  init() throws {
    trained = try Checkpoint(contentsOf: Fixtures.path("models/trained_resnet18.pt")).stateDict()
  }

  private func verify(_ state: StateDict, as spec: String = "resnet18") throws -> ModelVerification
  {
    try ModelVerification(of: state, as: ModelSpec(spec))
  }

  /// The state dict with the numbers of a key changed.
  private func changing(
    _ state: StateDict, _ key: String, _ change: (inout [Float]) -> Void
  ) throws -> StateDict {
    var state = state
    let tensor = try #require(state[key])
    var values = try Variable(tensor).floats()
    change(&values)
    state[key] = try Tensor(values, shape: tensor.shape)
    return state
  }

  @Test("weights that PyTorch trained are sound")
  func sound() throws {
    let found = try verify(trained)
    #expect(found.problems == [])
    #expect(found.report.loaded.count == found.keyCount)
    let run = try #require(found.run)
    #expect(run.reached == run.parameters)
    #expect(run.losses.count == 6)
    #expect(try #require(run.losses.last) < run.losses[0])
  }

  @Test("the same seed gives the same figures")
  func seeded() throws {
    #expect(try verify(trained).run == verify(trained).run)
  }

  @Test("a verification that is cancelled ends with an error")
  func cancelled() async throws {
    let cancellation = Cancellation()
    cancellation.cancel()
    #expect(throws: CancelledError()) {
      try ModelVerification(
        of: trained, as: ModelSpec("resnet18"), cancellation: cancellation)
    }
    let weights = trained
    let task = Task {
      withUnsafeCurrentTask { $0?.cancel() }
      return try await ModelVerification.verify(weights, as: ModelSpec("resnet18")).isSound
    }
    await #expect(throws: CancelledError()) { try await task.value }
  }

  @Test("the asynchronous form gives the same figures")
  func asynchronous() async throws {
    let found = try await ModelVerification.verify(trained, as: ModelSpec("resnet18"))
    #expect(try found.run == verify(trained).run)
  }

  @Test("a layer of zeros is named, and where no gradient gets")
  func zeros() throws {
    let key = "layer3.0.conv1.weight"
    let damaged = try changing(trained, key) { values in for i in values.indices { values[i] = 0 } }
    let found = try verify(damaged)
    #expect(found.problems.first { $0.kind == .zeros }?.keys == [key])
  }

  @Test("an element that is NaN is named, and the outputs are not finite")
  func notANumber() throws {
    let key = "layer2.1.conv2.weight"
    let found = try verify(changing(trained, key) { $0[5] = .nan })
    #expect(found.problems.first { $0.kind == .notFinite }?.keys == [key])
    #expect(found.problems.contains { $0.kind == .forward })
  }

  @Test("a backbone left at its initialization is recognized, and the initialization named")
  func backbone() throws {
    let random = RandomSource(seed: 5)
    let fresh = try ModelZoo.standard.makeModel(
      ModelSpec("resnet18"), fitting: trained, from: random)
    var state = try fresh.module.stateDict()
    // The head is trained, and the statistics too: the backbone alone is new.
    for (key, tensor) in trained.tensors
    where key.hasPrefix("fc.") || key.contains("running") || key.contains("num_batches") {
      state[key] = tensor
    }
    let found = try verify(state)
    let problem = try #require(found.problems.first { $0.kind == .initialization })
    #expect(problem.description.contains("backbone"))
    #expect(problem.description.contains("Kaiming's normal by fan-out"))
    #expect(!found.problems.contains { $0.kind == .untouchedStatistics })
  }

  @Test("layers that PyTorch began by default are recognized one by one, the head's only noted")
  func layers() throws {
    var state = StateDict()
    let random = RandomSource(seed: 6)
    let (first, second, head) = (
      try Linear(32, 40, from: random), try Linear(40, 40, from: random),
      try Linear(40, 8, from: random)
    )
    for (name, layer) in [("0", first), ("2", second), ("4", head)] {
      for (key, tensor) in try layer.stateDict().tensors { state["\(name).\(key)"] = tensor }
    }
    // The second layer has been trained, if only a little.
    let trained = try changing(state, "2.weight") { $0[7] = 0.2 }
    let found = try verify(trained, as: "mlp")
    let problem = try #require(found.problems.first { $0.kind == .initialization })
    #expect(problem.keys == ["0.weight"])
    #expect(problem.description.contains("PyTorch's default"))
    #expect(found.notes.contains { $0.contains("4.weight is new") })
  }

  @Test(
    "a layer with the statistics of a new one is named among trained ones, not where all are near new"
  )
  func littleTraining() throws {
    let random = RandomSource(seed: 7)
    func state(_ deviations: [Float]) throws -> StateDict {
      var state = StateDict()
      for (number, deviation) in (deviations + [0.3]).enumerated() {
        let rows = number == deviations.count ? 8 : 256
        let values = try Variable.normal([rows, 256], from: random).floats()
        state["\(2 * number).weight"] = try Tensor(
          values.map { $0 * deviation }, shape: [rows, 256])
        let biases = try Variable.normal([rows], from: random).floats()
        state["\(2 * number).bias"] = try Tensor(biases, shape: [rows])
      }
      return state
    }
    let trained = try verify(state([0.02, 0.04]), as: "mlp")
    let problem = try #require(trained.problems.first { $0.kind == .initialization })
    #expect(problem.keys == ["0.weight"])
    #expect(problem.description.contains("the normal of deviation 0.02"))
    // By 3 % is more than chance, but not what training does.
    let little = try verify(state([0.02, 0.0206]), as: "mlp")
    #expect(!little.problems.contains { $0.kind == .initialization })
    #expect(
      little.notes.contains { $0.contains("1 of 2 weights") && $0.contains("trained little") })
    let short = try verify(state([0.02, 0.0206, 0.02]), as: "mlp")
    let most = try #require(short.problems.first { $0.kind == .initialization })
    #expect(most.keys.isEmpty && most.description.contains("2 of 3 weights"))
  }

  @Test("BatchNorm statistics that are missing or untouched are named")
  func statistics() throws {
    let parameters = trained.filter { key, _ in
      !key.contains("running") && !key.contains("num_batches")
    }
    let missing = try verify(parameters)
    let problem = try #require(missing.problems.first { $0.kind == .missingStatistics })
    #expect(problem.keys.contains("bn1.running_mean"))
    #expect(problem.keys.contains("layer4.1.bn2.running_var"))

    var untouched = trained
    for (key, tensor) in trained.tensors where key.contains("running") {
      let value: Float = key.hasSuffix("var") ? 1 : 0
      untouched[key] = try Tensor(
        [Float](repeating: value, count: tensor.elementCount), shape: tensor.shape)
    }
    let found = try verify(untouched)
    #expect(found.problems.first { $0.kind == .untouchedStatistics }?.keys.count == 20)
  }

  @Test("a prefix, another depth, a missing head: what is wrong, and what to do")
  func keys() throws {
    let prefixed = try verify(
      try trained.renamingKeys(.addPrefix("module.")).merging(stem: trained), as: "resnet18")
    #expect(prefixed.run == nil)

    let deeper = try verify(trained, as: "resnet34")
    #expect(deeper.problems.contains { $0.kind == .missingKeys && $0.keys.count == 80 })
    #expect(deeper.run == nil)

    let headless = trained.filter { key, _ in !key.hasPrefix("fc.") }
    let missing = try verify(headless)
    #expect(missing.problems.map(\.kind) == [.missingKeys])
    #expect(missing.problems[0].remedy?.description.contains("classes=N") == true)
    let new = try verify(headless, as: "resnet18:classes=7")
    #expect(new.problems == [])
    #expect(try verify(trained, as: "resnet18:classes=7").problems == [])
  }

  @Test("a model whose outputs are far too large is not at chance")
  func exploded() throws {
    let found = try verify(
      changing(trained, "fc.weight") { values in for i in values.indices { values[i] *= 1e5 } })
    #expect(found.problems.contains { $0.kind == .chance })
  }

  @Test("queries and keys that have changed places are told by their biases, where there are any")
  func swappedBiases() throws {
    let bert = try Checkpoint(contentsOf: Fixtures.path("models/trained_bert.pt")).stateDict()
    #expect(try verify(bert, as: "bert:heads=2").problems == [])
    let swapped = try bert.renamingKeys(
      .replace("self.query", with: "self.other"), .replace("self.key", with: "self.query"),
      .replace("self.other", with: "self.key"))
    let found = try verify(swapped, as: "bert:heads=2")
    let problem = try #require(found.problems.first { $0.kind == .swappedQueryAndKey })
    #expect(
      problem.keys == [
        "bert.encoder.layer.0.attention.self", "bert.encoder.layer.1.attention.self",
      ])
  }

  @Test("queries and keys that have changed places are told by their shapes, where keys are shared")
  func swappedShapes() throws {
    let llama = try Checkpoint(contentsOf: Fixtures.path("models/llama.pt")).stateDict(at: "state")
    let swapped = try llama.renamingKeys(
      .replace("q_proj", with: "other"), .replace("k_proj", with: "q_proj"),
      .replace("other", with: "k_proj"))
    let found = try verify(swapped, as: "llama:heads=2")
    let problem = try #require(found.problems.first { $0.kind == .shapeMismatch })
    #expect(problem.keys.count == 4)
    #expect(problem.remedy?.description.contains("changed places") == true)
  }

  @Test("what is asked for is checked")
  func specs() throws {
    #expect(
      message(of: ZooError.self) { try verify(trained, as: "resnet19") }
        == "no model is called \"resnet19\"")
    #expect(
      message(of: ZooError.self) { try verify(trained, as: "resnet18:classes=none") }
        == "resnet18: option classes: \"none\" is no positive integer")
    #expect(
      message(of: ZooError.self) { try verify(trained, as: "resnet18:color=blue") }
        == "resnet18: option color: is not known; there are: classes")
    #expect(
      message(of: ZooError.self) { try ModelSpec("resnet18:classes") }
        == "resnet18: option classes: is not written as OPTION=VALUE")
    #expect(
      message(of: ZooError.self) { try verify(trained, as: "bert") }
        == "this is no bert: embeddings.word_embeddings.weight: there is no such tensor")
  }

  @Test("shapes far larger than the file are refused before memory is taken")
  func hostile() throws {
    let storage = try Tensor([1] as [Float], shape: [1]).storage
    var state = StateDict()
    state["0.weight"] = try Tensor(
      storage: storage, dtype: .float32, shape: [1 << 20, 1 << 20], strides: [0, 0], offset: 0
    )
    #expect(
      message(of: ZooError.self) { try verify(state, as: "mlp") }
        == "the tensors' shapes have 1099511627776 elements, but their storages only 4 bytes")
    #expect(
      message(of: ZooError.self) { try ModelZoo.standard.matches(state) }
        == "the tensors' shapes have 1099511627776 elements, but their storages only 4 bytes")
  }
}

extension StateDict {
  /// This and the first convolution of another, so that a model can be inferred.
  fileprivate func merging(stem other: StateDict) -> StateDict {
    var result = self
    for (key, tensor) in other.tensors where key.hasSuffix(".weight") && tensor.shape.count == 4 {
      result[key] = tensor
    }
    return result
  }
}
