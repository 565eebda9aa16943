internal import CkptText
internal import CkptPickle
internal import CkptPlatform
internal import CkptStateDicts

/// Builds nested dicts and lists from values and their paths.
struct NestedObjects {
  typealias Step = DistributedMetadata.Step

  private var checkpoint: Checkpoint
  private let nameCount: Int
  private let file: String
  /// The index of each container by path; the root is the first.
  private var containers: [[Step]: Int] = [[]: 0]
  private var filled: [Container] = []

  private struct Container {
    let ref: PickleGraph.Ref
    var isList: Bool
    var entries: [(step: Step, ref: PickleGraph.Ref)] = []
  }

  private static let depthLimit = 100

  /// Creates an empty root.
  ///
  /// - Parameters:
  ///   - nameCount: the number of values that will be added; larger list indices are errors.
  ///   - file: the file's name for error messages.
  init(nameCount: Int, file: String) throws {
    checkpoint = try Checkpoint(StateDict())
    self.nameCount = nameCount
    self.file = file
    filled = [Container(ref: checkpoint.graph.root, isList: false)]
  }

  private func bad(_ path: [Step], _ problem: String) -> CheckpointError {
    .badObject(file: file, path: Self.written(path), problem)
  }

  static func written(_ path: [Step]) -> String {
    let steps = path.prefix(50).map { step in
      switch step {
      case .key(let key): key.text
      case .index(let index): "\(index)"
      }
    }
    return ObjectPath(steps: steps).written
  }

  /// Adds a value at a path.
  mutating func add(_ value: StateDict.Value, at path: [Step]) throws {
    guard let last = path.last, path.count <= Self.depthLimit else {
      throw bad(path, "a path of \(path.count) steps")
    }
    let holder = try container(Array(path.dropLast()), holds: last)
    filled[holder].entries.append((last, checkpoint.add(value)))
  }

  /// The container at a path, created with its parents if necessary.
  private mutating func container(_ path: [Step], holds step: Step) throws -> Int {
    let isIndex: Bool
    if case .index(let index) = step {
      guard index < nameCount else { throw bad(path, "a list of \(index) items") }
      isIndex = true
    } else {
      isIndex = false
    }
    if let known = containers[path] {
      if path.isEmpty, isIndex { throw bad(path, "the root is no list") }
      guard filled[known].isList == isIndex else { throw bad(path, "is a list and a dict") }
      return known
    }
    guard let last = path.last else { throw bad(path, "no root") }
    let holder = try container(Array(path.dropLast()), holds: last)
    let ref = checkpoint.graph.addObject(isIndex ? .list : .dict)
    filled[holder].entries.append((last, ref))
    filled.append(Container(ref: ref, isList: isIndex))
    containers[path] = filled.count - 1
    return filled.count - 1
  }

  /// The document of all added values.
  mutating func document(
    format: Checkpoint.Format, path: String, files: [File]
  ) throws -> CheckpointDocument {
    for container in filled {
      var edits: [PickleGraph.Edit] = []
      var seen: Set<Step> = []
      for (step, _) in container.entries where !seen.insert(step).inserted {
        throw bad([step], "two values have one path")
      }
      if container.isList {
        var items: [Int: PickleGraph.Ref] = [:]
        for case (.index(let index), let ref) in container.entries { items[index] = ref }
        for index in 0..<((items.keys.max() ?? -1) + 1) {
          edits.append(.append(items[index] ?? checkpoint.graph.add(.none)))
        }
      } else {
        for case (.key(let key), let ref) in container.entries {
          edits.append(.setItem(key: checkpoint.graph.addString(key.text), value: ref))
        }
      }
      guard var body = checkpoint.graph.body(of: container.ref) else { continue }
      body.edits = edits
      checkpoint.graph.replaceBody(of: container.ref, with: body)
    }
    return try CheckpointDocument(checkpoint, format: format, path: path, files: files)
  }
}
