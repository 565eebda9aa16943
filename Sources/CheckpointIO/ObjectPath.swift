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

  /// How a path would name an object, found from the objects that hold it; for error messages.
  func path(to target: Ref) -> String {
    // Where each object is held first, unless the holder is deep in a cycle.
    var holders: [UInt32: (holder: UInt32, step: String?)] = [:]
    var queue = [root]
    holders[root.index] = (root.index, nil)
    var next = 0
    search: while next < queue.count {
      let ref = queue[next]
      next += 1
      func meet(_ child: Ref, _ step: String?) {
        guard holders[child.index] == nil else { return }
        holders[child.index] = (ref.index, step)
        queue.append(child)
      }
      for (step, child) in children(of: ref) { meet(child, step) }
      switch self[ref] {
      case .persistentID(let id): meet(id, nil)
      case .object:
        guard let body = body(of: ref) else { continue }
        switch body.construction {
        case .reduce(let callable, let arguments): [callable, arguments].forEach { meet($0, nil) }
        case .newObject(_, let arguments): meet(arguments, nil)
        case .newObjectWithKeywords(_, let arguments, let keywords):
          [arguments, keywords].forEach { meet($0, nil) }
        case .frozenSet(let items): meet(items, nil)
        default: break
        }
        for edit in body.edits {
          if case .build(let state) = edit { meet(state, nil) }
        }
      default: break
      }
      if holders[target.index] != nil { break search }
    }
    var steps: [String] = []
    var place = target.index
    while let (holder, step) = holders[place], holder != place, steps.count < 50 {
      if let step, body(of: Ref(index: holder)) != nil { steps.append(step) }
      place = holder
    }
    return ObjectPath(steps: steps.reversed()).written
  }
}
