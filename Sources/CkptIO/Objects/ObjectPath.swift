internal import CkptBytes
internal import CkptText
package import CkptPickle
internal import CkptPlatform

/// The path of an object, as used for `--at`: keys joined by `/`, with `\` before a `/` in a key;
/// `/` is the root.
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

  /// The path as text.
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
  /// The children of an object with their names in paths: items with their indices, entries with
  /// their keys, attributes with their names.
  func children(of ref: Ref) -> [(step: String, ref: Ref)] {
    var all: [(step: String, ref: Ref)] = []
    if let sequence = sequence(ref) {
      all = sequence.enumerated().map { ("\($0)", $1) }
    } else if let entries = entries(of: ref) {
      all = entries.map { (step(for: $0.key), $0.value) }
    }
    let attributes = attributes(of: ref)
    guard !attributes.isEmpty else { return all }
    // An entry hides an attribute of the same name, as in an EasyDict, which has both.
    let names = attributes.map { ExactText(step(for: $0.key)) }
    let known = Set(names)
    let hidden = Set(all.lazy.map { ExactText($0.step) }.filter(known.contains))
    for (name, attribute) in zip(names, attributes) where !hidden.contains(name) {
      all.append((name.text, attribute.value))
    }
    return all
  }

  /// The name of a key in a path.
  func step(for key: Ref) -> String {
    if let text = text(key) { return text }
    switch self[key] {
    case .none: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .float(let bits): return "\(Double(bitPattern: bits))"
    default: return decimal(key) ?? "?"
    }
  }

  /// The child named by a step of a path. A str key takes precedence over an int key, and an entry
  /// over an attribute.
  func child(_ step: String, of ref: Ref) -> Ref? {
    if let sequence = sequence(ref), let index = Int(step), sequence.indices.contains(index) {
      return sequence[index]
    }
    if let entries = entries(of: ref), let position = position(of: step, in: entries) {
      return entries[position].value
    }
    let attributes = attributes(of: ref)
    return position(of: step, in: attributes).map { attributes[$0].value }
  }

  /// The index of the entry named by a step of a path.
  func position(of step: String, in entries: [Entry]) -> Int? {
    entries.lastIndex { text($0.key)?.isExactly(step) == true }
      ?? entries.lastIndex { text($0.key) == nil && step != "?" && self.step(for: $0.key) == step }
  }

  /// The path of an object, for error messages.
  func path(to target: Ref) -> String { ObjectPaths(self, until: target).path(to: target) }
}

/// Finds the paths of objects by searching the graph from its root.
package struct ObjectPaths {
  private struct Holder {
    let index: UInt32
    /// The object's name in its parent; nil if it is not a child, such as a call's arguments.
    let step: String?
  }

  private let graph: PickleGraph
  /// The first parent of each object.
  private var holders: [UInt32: Holder]

  /// Searches the graph from its root; ends at `target`, if it is given.
  package init(_ graph: PickleGraph, until target: PickleGraph.Ref? = nil) {
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

  /// The path of an object that was found.
  package func path(to target: PickleGraph.Ref) -> String {
    var steps: [String] = []
    var position = target.index
    while let holder = holders[position], holder.index != position, steps.count < 50 {
      // The items of a call's arguments have no path, but those of a tuple with a path do.
      let isNamed = holders[holder.index].map { $0.step != nil || $0.index == holder.index } == true
      if let step = holder.step,
        isNamed || graph.body(of: PickleGraph.Ref(index: holder.index)) != nil
      {
        steps.append(step)
      }
      position = holder.index
    }
    return ObjectPath(steps: steps.reversed()).written
  }
}
