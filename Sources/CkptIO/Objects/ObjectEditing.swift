package import CkptText
internal import CkptBytes
internal import CkptPickle
internal import CkptPlatform

/// A change of one object in a checkpoint.
public struct ObjectChange: Sendable, Hashable {
  /// The path of the object.
  public let path: String
  /// A short description of the old object; nil if there was none.
  public let before: String?
  /// A short description of the new object; nil if it was removed.
  public let after: String?
}

extension Checkpoint {
  /// Sets the value at a path. Numbers, text, lists, and dicts are determined by JSON syntax.
  ///
  /// The parent object must exist. A mapping or an object with attributes gets a new entry if the
  /// name is new; a list gets a new item if the index equals its count. Other objects are
  /// unchanged. The change is visible through all references to the parent, as in Python.
  ///
  /// - Parameters:
  ///   - at: keys joined by `/`; not the root.
  ///   - value: `1` becomes an int, `1.0` a float, a JSON object a dict, an array a list, and null
  ///     None.
  /// - Throws: `CheckpointError` if the path is invalid, or the object cannot be changed.
  @discardableResult
  package mutating func setValue(at path: String, to value: JSONValue) throws -> ObjectChange {
    let (holder, step) = try holder(of: path)
    let before = graph.child(step, of: holder).map { summary(of: $0) }
    let new = add(value)
    guard graph.setChild(step, of: holder, to: new) else {
      throw CheckpointError.cannotEdit(
        file: self.path, path: path, what: "has no place for \(Text.quoted(step))",
        holder: summary(of: holder))
    }
    return ObjectChange(path: path, before: before, after: summary(of: new))
  }

  /// Removes the object at a path from its parent, which may be a mapping, a sequence, or an object
  /// with attributes.
  ///
  /// - Parameter at: keys joined by `/`; not the root.
  /// - Throws: `CheckpointError` if there is none.
  @discardableResult
  public mutating func removeValue(at path: String) throws -> ObjectChange {
    let (holder, step) = try holder(of: path)
    let before = summary(of: try resolve(path))
    guard graph.setChild(step, of: holder, to: nil) else {
      throw CheckpointError.cannotEdit(
        file: self.path, path: path, what: "cannot lose \(Text.quoted(step))",
        holder: summary(of: holder))
    }
    return ObjectChange(path: path, before: before, after: nil)
  }

  /// Removes the objects at several paths; all paths refer to the state before the first removal.
  ///
  /// - Parameter paths: as for ``removeValue(at:)``.
  /// - Returns: the change of each object, in the order of the paths.
  /// - Throws: `CheckpointError` if there is no object at a path, or two paths are the same or one
  ///   is inside another.
  @discardableResult
  public mutating func removeValues(at paths: [String]) throws -> [ObjectChange] {
    let all = paths.map { ObjectPath($0).steps }
    for (position, steps) in all.enumerated() {
      _ = try resolve(paths[position])
      for (other, outer) in all.enumerated() where other != position && steps.starts(with: outer) {
        throw CheckpointError.cannotEdit(
          file: path, path: paths[position],
          what: steps == outer ? "is named twice" : "is inside \(paths[other]), which goes, too",
          holder: nil)
      }
    }
    // Later items of a list are removed first, so that the indices of the others stay valid.
    let order = all.indices.sorted { left, right in
      guard let (one, two) = zip(all[left], all[right]).first(where: { $0 != $1 }) else {
        return false
      }
      switch (Int(one), Int(two)) {
      case (let one?, let two?) where one != two: return one > two
      case (_?, nil): return true
      case (nil, _?): return false
      default: return one > two
      }
    }
    var changes: [Int: ObjectChange] = [:]
    for position in order { changes[position] = try removeValue(at: paths[position]) }
    return all.indices.compactMap { changes[$0] }
  }

  private func holder(of path: String) throws -> (PickleGraph.Ref, String) {
    guard document.format != .torchScript else {
      throw CheckpointError.cannotWrite(
        file: self.path,
        "a TorchScript archive cannot be written, since its code belongs to its weights",
        hint: "\(.filterAndExtract) writes its state dict alone")
    }
    var steps = ObjectPath(path).steps
    guard let last = steps.popLast() else {
      throw CheckpointError.cannotEdit(
        file: self.path, path: path, what: "is the root, which nothing holds", holder: nil)
    }
    return (try resolve(ObjectPath(steps: steps).written), last)
  }

  private mutating func add(_ value: JSONValue) -> PickleGraph.Ref {
    switch value {
    case .null: return graph.add(.none)
    case .bool(let value): return graph.addBool(value)
    case .string(let text): return graph.addString(text)
    case .number("NaN"): return graph.add(.float(Double.nan.bitPattern))
    case .number("Infinity"): return graph.add(.float(Double.infinity.bitPattern))
    case .number("-Infinity"): return graph.add(.float((-Double.infinity).bitPattern))
    case .number(let digits):
      if !digits.contains(where: { ".eE".contains($0) }), let int = graph.addInt(decimal: digits) {
        return int
      }
      return graph.add(.float((Double(digits) ?? .nan).bitPattern))
    case .array(let items):
      let edits = items.map { PickleGraph.Edit.append(add($0)) }
      return graph.addObject(.list, edits: edits)
    case .object(let members):
      let edits = members.map { member in
        PickleGraph.Edit.setItem(key: graph.addString(member.name), value: add(member.value))
      }
      return graph.addObject(.dict, edits: edits)
    }
  }
}

extension PickleGraph {
  /// Replaces the child named by a step of a path by `new`, or removes it if `new` is nil.
  ///
  /// - Returns: whether the object can be changed in this way.
  mutating func setChild(_ step: String, of holder: Ref, to new: Ref?) -> Bool {
    if var items = sequence(holder), let index = Int(step), index >= 0, index <= items.count {
      if index == items.count {
        // Only lists can grow.
        guard let new, self.items(of: holder) == nil else { return false }
        items.append(new)
      } else if let new {
        items[index] = new
      } else {
        items.remove(at: index)
      }
      return setItems(of: holder, to: items)
    }
    let old = entries(of: holder)
    if var entries = old, let position = position(of: step, in: entries) {
      if let new { entries[position].value = new } else { entries.remove(at: position) }
      return setEntries(of: holder, to: entries)
    }
    if setAttribute(step, of: holder, to: new) { return true }
    guard let new else { return false }
    guard var entries = old else {
      return setAttribute(step, of: holder, to: new, adding: true)
    }
    entries.append((newKey(step, beside: entries), new))
    return setEntries(of: holder, to: entries)
  }

  /// A new key for a step of a path; in a mapping with only int keys, a number becomes an int.
  private mutating func newKey(_ step: String, beside entries: [Entry]) -> Ref {
    if !entries.isEmpty, entries.allSatisfy({ int($0.key) != nil }), let number = Int(step),
      "\(number)" == step
    {
      return addInt(number)
    }
    return addString(step)
  }
}
