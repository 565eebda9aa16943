internal import PickleFormat

/// How `--at` names an object: keys joined by `/`, `\` before one that belongs to a key; `/` is the root.
struct ObjectPath {
  let steps: [String]

  init(_ written: String) {
    guard written != "/", !written.isEmpty else {
      steps = []
      return
    }
    var steps = [""]
    var escaped = false
    for scalar in written.unicodeScalars {
      if escaped || (scalar != "\\" && scalar != "/") {
        steps[steps.count - 1].unicodeScalars.append(scalar)
        escaped = false
      } else if scalar == "\\" {
        escaped = true
      } else {
        steps.append("")
      }
    }
    self.steps = steps
  }

  init(steps: [String]) { self.steps = steps }

  /// As the command line writes it.
  var written: String { steps.isEmpty ? "/" : steps.map(Self.escaped).joined(separator: "/") }

  static func escaped(_ step: String) -> String {
    var result = String.UnicodeScalarView()
    for scalar in step.unicodeScalars {
      if scalar == "/" || scalar == "\\" { result.append("\\") }
      result.append(scalar)
    }
    return String(result)
  }
}

extension PickleGraph {
  /// What the children of an object are called in paths, and the children.
  func children(of ref: Ref) -> [(step: String, ref: Ref)] {
    if let sequence = sequence(ref) { return sequence.enumerated().map { ("\($0)", $1) } }
    let entries = entries(of: ref) ?? []
    return (entries + attributes(of: ref)).map { (step(for: $0.key), $0.value) }
  }

  /// What a key is called in a path.
  func step(for key: Ref) -> String {
    if let text = text(key) { return text }
    return decimal(key) ?? "?"
  }

  /// The child that a step of a path names; a str key comes before an int key.
  func child(_ step: String, of ref: Ref) -> Ref? {
    if let sequence = sequence(ref) {
      guard let index = Int(step), sequence.indices.contains(index) else { return nil }
      return sequence[index]
    }
    let all = (entries(of: ref) ?? []) + attributes(of: ref)
    return all.last { text($0.key)?.utf8.elementsEqual(step.utf8) == true }?.value
      ?? all.last { decimal($0.key) == step }?.value
  }

  /// How a path would name an object; for error messages.
  func path(to target: Ref) -> String { ObjectPaths(self, until: target).path(to: target) }
}

/// How paths would name the objects of a graph, found from the objects that hold them.
struct ObjectPaths {
  private struct Holder {
    let index: UInt32
    /// What the holder calls the object; nil if it is no child, such as a call's arguments.
    let step: String?
  }

  private let graph: PickleGraph
  /// Where each object is held first.
  private var holders: [UInt32: Holder]

  /// Goes through the graph from its root, until it has met `target`, if one is given.
  init(_ graph: PickleGraph, until target: PickleGraph.Ref? = nil) {
    self.graph = graph
    var queue = [graph.root]
    holders = [graph.root.index: Holder(index: graph.root.index, step: nil)]
    var next = 0
    while next < queue.count {
      let ref = queue[next]
      next += 1
      for (step, child) in graph.children(of: ref) where holders[child.index] == nil {
        holders[child.index] = Holder(index: ref.index, step: step)
        queue.append(child)
      }
      for part in graph.parts(of: ref) where holders[part.index] == nil {
        holders[part.index] = Holder(index: ref.index, step: nil)
        queue.append(part)
      }
      if let target, holders[target.index] != nil { return }
    }
  }

  /// The path of an object that the graph held.
  func path(to target: PickleGraph.Ref) -> String {
    var steps: [String] = []
    var place = target.index
    while let holder = holders[place], holder.index != place, steps.count < 50 {
      // The items of a call's arguments have no path; those of a tuple that has one do.
      let isNamed = holders[holder.index].map { $0.step != nil || $0.index == holder.index } == true
      if let step = holder.step,
        isNamed || graph.body(of: PickleGraph.Ref(index: holder.index)) != nil
      {
        steps.append(step)
      }
      place = holder.index
    }
    return ObjectPath(steps: steps.reversed()).written
  }
}
