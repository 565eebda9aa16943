internal import CkptPickle

/// An object that was shared by several paths of a checkpoint and was copied for one of them.
public struct SeparatedObject: Sendable, Hashable {
  /// The path that now has its own copy.
  public let path: String
  /// The other paths of the original object, which is unchanged; empty if it has no path.
  public let others: [String]
}

/// The objects along a path, from the root.
private struct ObjectChain {
  /// How an object is reached from its parent.
  enum Link {
    case root
    /// By a step of a path.
    case step(String)
    /// By the attribute that contains the contents of a wrapper such as `collections.UserDict`.
    case attribute(String)
  }

  var refs: [PickleGraph.Ref]
  var links: [Link] = [.root]
}

extension Checkpoint {
  /// Makes the object at a path independent of other references: objects along the path that are
  /// referenced elsewhere are copied. Sharing inside the object is preserved.
  ///
  /// - Returns: the object at the path, and the object that was shared; nil if none was.
  /// - Throws: `CheckpointError` if the path is invalid, or leads through an object that cannot be
  ///   changed.
  mutating func separate(
    _ steps: [String]
  ) throws -> (ref: PickleGraph.Ref, separated: SeparatedObject?) {
    let chain = try chain(to: steps)
    guard let target = chain.refs.last, chain.refs.count > 1 else { return (graph.root, nil) }
    guard let first = try firstShared(chain) else { return (target, nil) }
    var previous = chain.refs[first - 1]
    for index in first..<chain.refs.count {
      let copy = copyOne(chain.refs[index])
      let isSet =
        switch chain.links[index] {
        case .root: false
        case .step(let step): graph.setChild(step, of: previous, to: copy)
        case .attribute(let name): graph.setAttribute(name, of: previous, to: copy)
        }
      guard isSet else {
        throw CheckpointError.cannotEdit(
          file: path, path: ObjectPath(steps: steps).written,
          what: "cannot be given an object of its own", holder: summary(of: previous))
      }
      previous = copy
    }
    let names = chain.links[...first].compactMap { link -> String? in
      if case .step(let step) = link { step } else { nil }
    }
    let separated = SeparatedObject(
      path: ObjectPath(steps: names).written, others: paths(to: chain.refs[first]))
    return (try resolve(ObjectPath(steps: steps).written), separated)
  }

  /// The objects along a path, including those that contain the contents of wrappers.
  private func chain(to steps: [String]) throws -> ObjectChain {
    var chain = ObjectChain(refs: [graph.root])
    var ref = graph.root
    func enter(_ ref: PickleGraph.Ref) -> (String, PickleGraph.Ref)? {
      guard case .attribute(let name) = graph.form(of: ref).source else { return nil }
      return graph.attribute(name, of: ref).map { (name, $0) }
    }
    for step in steps {
      guard let next = graph.child(step, of: ref) else {
        _ = try resolve(ObjectPath(steps: steps).written)
        return chain
      }
      // An object inside a wrapper's contents is held by these contents.
      if let (name, inner) = enter(ref), graph.child(step, of: inner) == next {
        chain.refs.append(inner)
        chain.links.append(.attribute(name))
      }
      chain.refs.append(next)
      chain.links.append(.step(step))
      ref = next
    }
    if let (name, inner) = enter(ref) {
      chain.refs.append(inner)
      chain.links.append(.attribute(name))
    }
    return chain
  }

  /// The index of the first object of a chain that is referenced elsewhere, too; nil if there is
  /// none.
  private func firstShared(_ chain: ObjectChain) throws -> Int? {
    var carriers: [Int: [PickleGraph.Ref]] = [:]
    var counts: [PickleGraph.Ref: Int] = [:]
    for index in 1..<chain.refs.count {
      counts[chain.refs[index]] = 0
      carriers[index] = self.carriers(of: chain.refs[index], in: chain.refs[index - 1])
      for carrier in carriers[index] ?? [] { counts[carrier] = 0 }
    }
    try countMentions(&counts)
    return (1..<chain.refs.count).first { index in
      (counts[chain.refs[index]] ?? 0) > 1
        || (carriers[index] ?? []).contains { (counts[$0] ?? 0) > 1 }
    }
  }

  /// Counts the references to some objects in the checkpoint.
  func countMentions(_ counts: inout [PickleGraph.Ref: Int]) throws {
    var found = counts
    try graph.walk(
      from: graph.root, mention: { _, ref in if let known = found[ref] { found[ref] = known + 1 } },
      { _ in true })
    counts = found
  }

  /// The objects between a parent and its child, such as a tuple of arguments, a list of pairs, or
  /// a dict of attributes; empty if the parent refers to the child directly.
  private func carriers(of child: PickleGraph.Ref, in holder: PickleGraph.Ref) -> [PickleGraph.Ref]
  {
    var from: [PickleGraph.Ref: PickleGraph.Ref] = [:]
    var level = [holder]
    for _ in 0..<5 {
      var next: [PickleGraph.Ref] = []
      for ref in level {
        for part in graph.parts(of: ref) where from[part] == nil && part != holder {
          from[part] = ref
          if part == child {
            var found: [PickleGraph.Ref] = []
            var index = ref
            while index != holder, let before = from[index] {
              found.append(index)
              index = before
            }
            return found
          }
          if graph.plainItems(part) != nil || graph.entries(of: part) != nil { next.append(part) }
        }
      }
      level = next
    }
    return []
  }

  /// Creates a copy of one object, with references to the same objects.
  mutating func copyOne(_ ref: PickleGraph.Ref) -> PickleGraph.Ref {
    if let items = graph.items(of: ref).map(Array.init) { return graph.addTuple(items) }
    guard let body = graph.body(of: ref) else { return graph.add(graph[ref]) }
    return graph.addObject(body.construction, edits: body.edits)
  }

  /// The paths of an object, at most 20.
  func paths(to target: PickleGraph.Ref) -> [String] {
    var holders: [PickleGraph.Ref: (holder: PickleGraph.Ref, step: String)] = [:]
    var found: [(PickleGraph.Ref, String)] = []
    var seen: Set<PickleGraph.Ref> = [graph.root]
    var queue = [graph.root]
    var index = 0
    while index < queue.count, found.count < 20 {
      let ref = queue[index]
      index += 1
      guard tensor(of: ref) == nil else { continue }
      for (step, child) in graph.children(of: ref) {
        if child == target { found.append((ref, step)) }
        if seen.insert(child).inserted {
          holders[child] = (ref, step)
          queue.append(child)
        }
      }
    }
    return found.map { holder, step in
      var steps = [step]
      var ref = holder
      while let (next, step) = holders[ref], steps.count < 50 {
        steps.append(step)
        ref = next
      }
      return ObjectPath(steps: steps.reversed()).written
    }
  }
}
