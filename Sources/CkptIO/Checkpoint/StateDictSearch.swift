internal import CkptPickle
internal import CkptStateDicts

/// The path of a state dict that was found without being named.
public struct StateDictPlace: Sendable, Hashable {
  /// The path, as `at` takes it.
  public let path: String
  /// Whether it was the only one left after a search, rather than the root or the root's one child that holds
  /// tensors: people should be told which one is meant.
  public let wasSearched: Bool
}

extension Checkpoint {
  /// Where the state dict is, as `at` takes it.
  ///
  /// That is the root, if it is a mapping that holds tensors and none of its children is a state dict;
  /// else the one child that is; else the one that is left at any depth. Optimizers' and schedulers' states and
  /// those of random number generators are no candidates.
  /// - Throws: `CheckpointError.unclear` with the candidates.
  public func stateDictPath() throws -> String { try stateDictPlace().path }

  /// What ``stateDictPath()`` gives, and whether it had to be searched for.
  ///
  /// - Throws: `CheckpointError` where there is no state dict, or several.
  public func stateDictPlace() throws -> StateDictPlace {
    let root = StateDictPlace(path: "/", wasSearched: false)
    if document.format == .torchScript || document.format.holdsTensorsAlone { return root }
    if isModule(graph.root) { return root }
    var search = StateDictSearch(self)
    let children = search.children()
    let atRoot = tensorCount(graph.root)
    if children.isEmpty, atRoot > 0, trainingState(graph.root, under: "") == nil { return root }
    if children.count == 1, let only = children.first {
      return StateDictPlace(path: only.path, wasSearched: search.hasPassedOver)
    }
    let found = children.isEmpty ? search.all() : children
    if found.count == 1, let only = found.first {
      return StateDictPlace(path: only.path, wasSearched: true)
    }
    if found.isEmpty, atRoot > 0 { return root }
    throw CheckpointError.unclear(file: path, candidates: found)
  }

  /// The paths of all mappings that could be meant as a state dict, the root among them, at most 1000.
  func stateDictPaths() -> [String] {
    if document.format == .torchScript || document.format.holdsTensorsAlone { return ["/"] }
    if isModule(graph.root) { return ["/"] }
    var search = StateDictSearch(self)
    let weights = tensorCounts(of: graph.root, under: "")?.weights ?? 0
    return (weights > 0 ? ["/"] : []) + search.all().map(\.path)
  }

  /// How many tensors a mapping holds itself, whatever its keys.
  private func tensorCount(_ ref: PickleGraph.Ref) -> Int {
    graph.entries(of: ref)?.count { tensor(of: $0.value) != nil } ?? 0
  }
}

/// Looks for the mappings that could be meant as the state dict.
private struct StateDictSearch {
  /// More candidates than this are not listed: which one is meant is open with two.
  private static let limit = 1000

  private let checkpoint: Checkpoint
  /// Whether mappings with tensors were met that are training's own state.
  private(set) var hasPassedOver = false

  init(_ checkpoint: Checkpoint) { self.checkpoint = checkpoint }

  private enum Finding {
    /// A state dict of so many tensors.
    case candidate(Int)
    /// Something that is not looked into.
    case closed
    /// Something that may hold state dicts.
    case open
  }

  /// What an object is as a candidate, by itself.
  private mutating func judge(_ ref: PickleGraph.Ref, under step: String) -> Finding {
    if checkpoint.tensor(of: ref) != nil { return .closed }
    // `get_extra_state()` of a module is its own, whatever it is (`_EXTRA_STATE_KEY_SUFFIX` of torch.nn).
    if step.hasSuffix("_extra_state") { return .closed }
    if checkpoint.isModule(ref) {
      // One that cannot be looked into is meant all the same, and is refused when it is read.
      let found = try? checkpoint.moduleStateDict(ref, at: "/")
      let count = found?.stateDict.tensors.count ?? 1
      return count > 0 ? .candidate(count) : .closed
    }
    let counts = checkpoint.tensorCounts(of: ref, under: step)
    if checkpoint.trainingState(ref, under: step) != nil {
      hasPassedOver = hasPassedOver || (counts?.all ?? 0) > 0
      return .closed
    }
    if let counts, counts.weights > 0 { return .candidate(counts.all) }
    return .open
  }

  /// The state dicts among the values of the root, if it is a mapping.
  mutating func children() -> [CheckpointError.Candidate] {
    let graph = checkpoint.graph
    var found: [(CheckpointError.Candidate, PickleGraph.Ref)] = []
    for (key, value) in graph.entries(of: graph.root) ?? [] {
      guard checkpoint.tensor(of: value) == nil,
        graph.entries(of: value) != nil || checkpoint.isModule(value)
      else { continue }
      let step = graph.step(for: key)
      guard case .candidate(let count) = judge(value, under: step) else { continue }
      found.append((.init(path: ObjectPath(steps: [step]).written, tensorCount: count), value))
    }
    return withTensors(found)
  }

  /// The candidates that hold tensors of PyTorch's, if those or the root hold any; else those of arrays alone, since
  /// beside a model arrays are statistics or states of random numbers.
  private func withTensors(
    _ found: [(candidate: CheckpointError.Candidate, ref: PickleGraph.Ref)]
  ) -> [CheckpointError.Candidate] {
    func holdsTensors(_ ref: PickleGraph.Ref) -> Bool {
      checkpoint.isModule(ref)
        || checkpoint.graph.entries(of: ref)?.contains {
          checkpoint.tensor(of: $0.value) != nil && !checkpoint.isArray($0.value)
        } == true
    }
    let ofTensors = found.filter { holdsTensors($0.ref) }
    let isOfArrays = ofTensors.isEmpty && !holdsTensors(checkpoint.graph.root)
    return (isOfArrays ? found : ofTensors).map(\.candidate)
  }

  /// State dicts at any depth, those further out first; each name of one counts.
  mutating func all() -> [CheckpointError.Candidate] {
    let graph = checkpoint.graph
    var found: [(candidate: CheckpointError.Candidate, ref: PickleGraph.Ref)] = []
    var seen: Set<PickleGraph.Ref> = [graph.root]
    var queue: [(holder: Int, step: String, ref: PickleGraph.Ref)] = [(0, "", graph.root)]
    func path(_ position: Int) -> String {
      var steps: [String] = []
      var position = position
      while position > 0 {
        steps.append(queue[position].step)
        position = queue[position].holder
      }
      return ObjectPath(steps: steps.reversed()).written
    }
    var next = 0
    while next < queue.count, found.count < Self.limit {
      let (_, step, ref) = queue[next]
      defer { next += 1 }
      let finding: Finding = next == 0 ? .open : judge(ref, under: step)
      switch finding {
      case .closed: continue
      case .candidate(let count):
        found.append((.init(path: path(next), tensorCount: count), ref))
        // A module's modules are parts of it.
        if checkpoint.isModule(ref) { continue }
      case .open: break
      }
      for (step, child) in graph.children(of: ref) {
        guard graph.body(of: child) != nil || graph.items(of: child) != nil else { continue }
        if seen.insert(child).inserted {
          queue.append((next, step, child))
        } else if case .candidate(let count) = judge(child, under: step) {
          // Another name of what was met before: which of the two is meant is open.
          let outer = ObjectPath(path(next)).steps
          found.append(
            (.init(path: ObjectPath(steps: outer + [step]).written, tensorCount: count), child))
        }
      }
    }
    return withTensors(found)
  }
}
