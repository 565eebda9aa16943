/// Puts together what a pickle that ends early had begun: the dicts and lists that were being
/// filled, down to the innermost one.
///
/// A pickler writes an object's parts one after the other, and only then the opcode that joins
/// them. Where a pickle ends, some objects on the stack are therefore complete, and others are
/// parts of something unknown: a tuple, or the arguments of a call. Only entries for which there is
/// no other plausible reading are kept, and at the end of each level a few are given up.
struct UnfinishedObjects {
  typealias Ref = PickleGraph.Ref

  private var graph: PickleGraph
  private let stack: [Ref]
  private let marks: [Int]
  /// The number of items that Python's pickler adds to a dict or list at a time.
  private static let batchCount = 1000

  init(_ salvage: PickleGraph.Salvage) {
    graph = salvage.graph
    stack = salvage.stack
    marks = salvage.marks
  }

  /// The graph with its root; nil if the root is neither a dict nor a list, or nothing of it is
  /// left.
  consuming func joined() -> PickleGraph? {
    guard let root = stack.first, marks.first != 0, isMapping(root) || isList(root) else {
      return nil
    }
    graph.root = root
    var open: Ref? = root
    var level = 0
    while let holder = open {
      open = fill(holder, atLevel: level)
      level += 1
    }
    graph.seal()
    return graph
  }

  /// The items above the mark of a level; those above the root for level 0.
  private func items(ofLevel level: Int) -> ArraySlice<Ref> {
    let start = level == 0 ? 1 : marks[level - 1]
    return stack[start..<(level < marks.count ? marks[level] : stack.count)]
  }

  /// Adds the items of a level to the object that they belong to; returns the object to which the
  /// items of the next level belong, if it is certain.
  private mutating func fill(_ holder: Ref, atLevel level: Int) -> Ref? {
    guard level <= marks.count else { return nil }
    var rest = items(ofLevel: level)
    var holder = holder
    if level == 0 {
      // Without a mark, one entry is being added, whose value may be a dict with one entry.
      while isMapping(holder), let (key, value) = pair(rest) {
        guard isMapping(value) || isList(value) else { return nil }
        if rest.count == 2, level >= marks.count, !hasEdits(value) { return nil }
        _ = graph.edit(holder, .setItem(key: key, value: value))
        holder = value
        rest = rest.dropFirst(2)
      }
      return rest.isEmpty ? holder : nil
    }
    guard isMapping(holder) else {
      guard isList(holder) else { return nil }
      // Up to three items may be parts of a tuple.
      for item in rest.dropLast(3) { _ = graph.edit(holder, .append(item)) }
      return nil
    }
    while let (key, value) = pair(rest) {
      rest = rest.dropFirst(2)
      let isContainer = isMapping(value) || isList(value)
      if rest.isEmpty {
        guard level < marks.count, isContainer else { return nil }
        _ = graph.edit(holder, .setItem(key: key, value: value))
        return value
      }
      guard rest.count >= 2, let next = rest.first, isKey(next), graph.global(value) == nil else {
        return nil
      }
      if rest.count == 2, level == marks.count, graph.body(of: rest.last ?? value) == nil {
        // The last value may be the second item of a tuple, and this one the first.
        return nil
      }
      _ = graph.edit(holder, .setItem(key: key, value: value))
      // The next two items may be the only entry of this dict.
      if isContainer, editCount(value).isMultiple(of: Self.batchCount) { return nil }
    }
    return nil
  }

  /// The first key and value; nil if there are none, or the first item is no plausible key.
  private func pair(_ items: ArraySlice<Ref>) -> (key: Ref, value: Ref)? {
    guard items.count >= 2, let key = items.first, isKey(key) else { return nil }
    let value = items[items.startIndex + 1]
    // Four ints are rather the sizes of a tensor than two entries.
    if case .int = graph[key], graph.body(of: value) == nil { return nil }
    return (key, value)
  }

  private func isKey(_ ref: Ref) -> Bool {
    switch graph[ref] {
    case .string, .byteString, .int: true
    default: false
    }
  }

  private func isMapping(_ ref: Ref) -> Bool {
    switch graph.body(of: ref)?.construction {
    case .dict: return true
    case .reduce(let callable, let arguments):
      guard let name = graph.global(callable), graph.items(of: arguments) != nil else {
        return false
      }
      return name == ("collections", "OrderedDict") || name == ("collections", "defaultdict")
    default: return false
    }
  }

  private func isList(_ ref: Ref) -> Bool {
    if case .list = graph.body(of: ref)?.construction { true } else { false }
  }

  private func editCount(_ ref: Ref) -> Int { graph.body(of: ref)?.edits.count ?? 0 }
  private func hasEdits(_ ref: Ref) -> Bool { editCount(ref) > 0 }
}

extension PickleGraph.Salvage {
  /// The objects that were decoded before the pickle ended or failed, joined to one object; nil if
  /// the pickle's object is neither a dict nor a list, or nothing of it is left.
  ///
  /// Objects whose parts are incomplete are left out, and so are those that may be parts of one.
  package func joined() -> PickleGraph? { UnfinishedObjects(self).joined() }
}
