import CkptText
import CkptIO
import CkptStateDicts
import CkptTensors
import CkptTestSupport
import Testing

@Suite("The state dict that nobody named is found, or asked for")
struct StateDictSearchTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func weights(_ keys: String...) throws -> StateDict {
    var result = StateDict()
    for key in keys { result[key] = try Tensor([1, 2] as [Float], shape: [2]) }
    return result
  }

  private func bytes(_ count: Int) throws -> Tensor {
    try Tensor(
      storage: Storage(bytes: [UInt8](repeating: 1, count: count)), dtype: .uint8,
      shape: [count])
  }

  /// What training writes beside the weights, each with tensors in mappings of its own.
  private enum Beside: CaseIterable {
    case optimizer, flatOptimizer, scheduler, scaler, random, deviceRandom, numpyRandom, extraState
  }

  /// Puts a mapping under a path's last key.
  private func put(
    _ beside: Beside, at path: String, in checkpoint: inout Checkpoint
  ) throws {
    func mapping(_ json: String, _ tensors: [(String, Tensor)], inside: String = "") throws {
      try checkpoint.setValue(at: path, to: JSONValue(parsing: json))
      let position = inside.isEmpty ? path : path + "/" + inside
      var stateDict = try checkpoint.stateDict(at: position)
      for (key, tensor) in tensors { stateDict[key] = tensor }
      try checkpoint.replaceStateDict(at: position, with: stateDict)
    }
    let vector = try Tensor([1] as [Float], shape: [1])
    switch beside {
    case .optimizer:
      try mapping(
        #"{"state": {"0": {}}, "param_groups": [{"lr": 0.1, "params": [0]}]}"#,
        [("exp_avg", vector)], inside: "state/0")
    case .flatOptimizer:
      try mapping(#"{"param_groups.w.lr": 0.1}"#, [("state.w.exp_avg", vector)])
    case .scheduler: try mapping(#"{"last_epoch": 3, "_last_lr": [0.1]}"#, [("best", vector)])
    case .scaler:
      try mapping(#"{"growth_factor": 2.0, "backoff_factor": 0.5}"#, [("scale", vector)])
    case .random: try mapping("{}", [("torch", bytes(5056)), ("cuda", bytes(16))])
    case .deviceRandom: try mapping("{}", [("cuda_rng_state", bytes(816))])
    case .numpyRandom: try mapping(#"{"bit_generator": "MT19937"}"#, [("state", vector)])
    case .extraState: try mapping("{}", [("amax", vector)])
    }
  }

  @Test("Of random trees, the one state dict is found at any depth; of several, all are named")
  func trees() throws {
    var random = SeededRandom(7)
    for round in 0..<120 {
      var checkpoint = try Checkpoint(StateDict())
      var holders = [""]
      func child(_ name: String, of holder: String) -> String {
        holder.isEmpty ? name : holder + "/" + name
      }
      for number in 0..<Int.random(in: 0..<6, using: &random) {
        let holder = holders[Int.random(in: holders.indices, using: &random)]
        let path = child("part\(number)", of: holder)
        _ = try checkpoint.setValue(
          at: path, to: JSONValue(parsing: #"{"epoch": 3, "list": [1, {"x": 2}]}"#))
        holders.append(path)
      }
      for (number, beside) in Beside.allCases.enumerated() where Bool.random(using: &random) {
        let holder = holders[Int.random(in: holders.indices, using: &random)]
        let name = beside == .extraState ? "fc._extra_state" : "beside\(number)"
        try put(beside, at: child(name, of: holder), in: &checkpoint)
      }
      var paths: [String] = []
      for number in 0..<Int.random(in: 0..<4, using: &random) {
        let holder = holders[Int.random(in: holders.indices, using: &random)]
        let path = child("model\(number)", of: holder)
        _ = try checkpoint.setValue(at: path, to: .object([]))
        try checkpoint.replaceStateDict(at: path, with: weights("a", "b"))
        paths.append(path)
      }
      let file = folder.file("tree\(round).pt")
      try checkpoint.write(to: file)
      let read = try Checkpoint(contentsOf: file)
      let atFirst = paths.filter { !$0.contains("/") }
      let wanted = atFirst.isEmpty ? paths : atFirst
      if wanted.count == 1 {
        #expect(try read.stateDictPath() == wanted[0])
        if atFirst.isEmpty { #expect(try read.stateDictPlace().wasSearched) }
      } else {
        let error = #expect(throws: CheckpointError.self) { try read.stateDictPath() }
        guard case .unclear(_, let candidates)? = error else {
          Issue.record("another error: \(String(describing: error))")
          continue
        }
        #expect(Set(candidates.map(\.path)) == Set(wanted))
      }
    }
  }

  @Test("An item of a list is found")
  func lists() throws {
    var checkpoint = try Checkpoint(StateDict())
    _ = try checkpoint.setValue(at: "runs", to: JSONValue(parsing: "[3, {}, null]"))
    try checkpoint.replaceStateDict(at: "runs/1", with: weights("a"))
    let position = try checkpoint.stateDictPlace()
    #expect(position.path == "runs/1" && position.wasSearched)
  }

  @Test("A mapping with weights at the root is meant, also beside random states and extra state")
  func root() throws {
    var stateDict = try weights("fc.weight")
    stateDict["rng"] = try bytes(5056)
    var checkpoint = try Checkpoint(stateDict)
    try put(.extraState, at: "fc._extra_state", in: &checkpoint)
    try put(.random, at: "rng_states", in: &checkpoint)
    let position = try checkpoint.stateDictPlace()
    #expect(position.path == "/" && !position.wasSearched)
    // Random states alone are all that there is to look at, unless weights lie deeper.
    var states = StateDict()
    states["rng"] = try bytes(5056)
    checkpoint = try Checkpoint(states)
    #expect(try checkpoint.stateDictPath() == "/")
    _ = try checkpoint.setValue(at: "trainer", to: JSONValue(parsing: #"{"model": {}}"#))
    try checkpoint.replaceStateDict(at: "trainer/model", with: weights("a"))
    #expect(try checkpoint.stateDictPath() == "trainer/model")
  }

  @Test("Bytes are weights where nothing says that they are random states")
  func quantized() throws {
    var checkpoint = try Checkpoint(StateDict())
    _ = try checkpoint.setValue(at: "model", to: .object([]))
    var packed = StateDict()
    packed["absmax"] = try bytes(16)
    try checkpoint.replaceStateDict(at: "model", with: packed)
    #expect(try checkpoint.stateDictPath() == "model")
  }
}
