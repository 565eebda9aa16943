internal import CkptPickle
internal import CkptStateDicts

/// The path of a state dict that was found by searching.
public struct StateDictPlace: Sendable, Hashable {
  /// The path, as used for `at`.
  public let path: String
  /// Whether it is the only one found by a search of all objects, rather than the root or its only
  /// child with tensors. In this case the user should be told the path.
  public let wasSearched: Bool
}

extension Checkpoint {
  /// The path of the state dict, as used for `at`.
  ///
  /// This is the root, if it is a mapping with tensors and none of its children is a state dict;
  /// otherwise its only child that is one; otherwise the only one at any depth. States of
  /// optimizers, schedulers, and random number generators are ignored.
  ///
  /// - Throws: `CheckpointError.unclear` with the candidates.
  public func stateDictPath() throws -> String { try stateDictPlace().path }

  /// The result of ``stateDictPath()``, and whether a search was needed.
  ///
  /// - Throws: `CheckpointError` if there is no state dict, or several.
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

  /// The paths of all mappings that may be state dicts, including the root; at most 1000.
  func stateDictPaths() -> [String] {
    if document.format == .torchScript || document.format.holdsTensorsAlone { return ["/"] }
    if isModule(graph.root) { return ["/"] }
    var search = StateDictSearch(self)
    let weights = tensorCounts(of: graph.root, under: "")?.weights ?? 0
    return (weights > 0 ? ["/"] : []) + search.all().map(\.path)
  }

  /// The number of tensors that are direct values of a mapping, with any keys.
  private func tensorCount(_ ref: PickleGraph.Ref) -> Int {
    graph.entries(of: ref)?.count { tensor(of: $0.value) != nil } ?? 0
  }
}

/// Searches for mappings that may be the state dict.
private struct StateDictSearch {
  /// The maximum number of candidates that are listed; two suffice to be ambiguous.
  private static let limit = 1000

  private let checkpoint: Checkpoint
  /// Whether mappings with tensors were ignored because they are training state.
  private(set) var hasPassedOver = false
  /// What was found of objects before, since one may be mentioned very often.
  private var judged: [Question: Finding] = [:]

  /// An object, and what its key says.
  private struct Question: Hashable {
    let ref: PickleGraph.Ref
    let meansRandom: Bool
  }

  init(_ checkpoint: Checkpoint) { self.checkpoint = checkpoint }

  private enum Finding {
    /// A state dict with the given number of tensors.
    case candidate(Int)
    /// An object whose children are not searched.
    case closed
    /// An object whose children may be state dicts.
    case open
  }

  /// Classifies an object by itself.
  private mutating func judge(_ ref: PickleGraph.Ref, under step: String) -> Finding {
    if checkpoint.tensor(of: ref) != nil { return .closed }
    // The result of a module's `get_extra_state()` may be anything (`_EXTRA_STATE_KEY_SUFFIX` in
    // torch.nn).
    if step.hasSuffix("_extra_state") { return .closed }
    let question = Question(ref: ref, meansRandom: Checkpoint.meansRandom(step))
    if let known = judged[question] { return known }
    let finding = judgeAnew(ref, under: step)
    judged[question] = finding
    return finding
  }

  private mutating func judgeAnew(_ ref: PickleGraph.Ref, under step: String) -> Finding {
    if checkpoint.isModule(ref) {
      // A module that cannot be read is still a candidate; reading it reports the error.
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

  /// The state dicts among the values of the root, if that is a mapping.
  mutating func children() -> [CheckpointError.Candidate] {
    let graph = checkpoint.graph
    var found: [(CheckpointError.Candidate, PickleGraph.Ref)] = []
    for (key, value) in graph.entries(of: graph.root) ?? [] {
      guard checkpoint.tensor(of: value) == nil else { continue }
      let step = graph.step(for: key)
      guard case .candidate(let count) = judge(value, under: step) else { continue }
      found.append((.init(path: ObjectPath(steps: [step]).written, tensorCount: count), value))
    }
    return withTensors(found)
  }

  /// The candidates with PyTorch tensors, if there are any or the root has some; otherwise those
  /// with only NumPy arrays, because arrays beside a model are statistics or states of random
  /// number generators.
  private func withTensors(
    _ found: [(candidate: CheckpointError.Candidate, ref: PickleGraph.Ref)]
  ) -> [CheckpointError.Candidate] {
    var known: [PickleGraph.Ref: Bool] = [:]
    func holdsTensors(_ ref: PickleGraph.Ref) -> Bool {
      if let answer = known[ref] { return answer }
      let answer =
        checkpoint.isModule(ref)
        || checkpoint.graph.entries(of: ref)?.contains {
          checkpoint.tensor(of: $0.value) != nil && !checkpoint.isArray($0.value)
        } == true
      known[ref] = answer
      return answer
    }
    let ofTensors = found.filter { holdsTensors($0.ref) }
    let isOfArrays = ofTensors.isEmpty && !holdsTensors(checkpoint.graph.root)
    return (isOfArrays ? found : ofTensors).map(\.candidate)
  }

  /// State dicts at any depth, outer ones first; one with several names is listed under each.
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
        // Submodules belong to their module.
        if checkpoint.isModule(ref) { continue }
      case .open: break
      }
      for (step, child) in graph.children(of: ref) {
        guard graph.body(of: child) != nil || graph.items(of: child) != nil else { continue }
        if seen.insert(child).inserted {
          queue.append((next, step, child))
        } else if case .candidate(let count) = judge(child, under: step) {
          // This is another path of an object found before, so either may be meant.
          let outer = ObjectPath(path(next)).steps
          found.append(
            (.init(path: ObjectPath(steps: outer + [step]).written, tensorCount: count), child))
        }
      }
    }
    return withTensors(found)
  }
}
