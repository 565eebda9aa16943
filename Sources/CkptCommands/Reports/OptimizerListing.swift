internal import StateDictKit

/// The output of `ls --optimizer`: an optimizer's values for each parameter, by the parameter's
/// name.
struct OptimizerListing: Encodable {
  struct Entry: Encodable {
    let key: String
    let dtype: String?
    let shape: [Int]?
    let bytes: Int?
    let value: String?

    init(_ entry: OptimizerState.Entry) {
      key = entry.key
      dtype = entry.tensor?.dtype.name
      shape = entry.tensor?.shape
      bytes = entry.tensor?.byteCount
      value = entry.tensor == nil ? entry.summary : nil
    }
  }
  struct Parameter: Encodable {
    let id: String
    let name: String?
    let group: Int
    let state: [Entry]
  }
  struct Group: Encodable {
    let parameters: Int
    let options: [String: String]
  }
  let at, names: String
  let names_reason: String?
  let parameters: [Parameter]
  let groups: [Group]

  init(_ optimizer: OptimizerState) {
    at = optimizer.path
    switch optimizer.naming {
    case .recorded: (names, names_reason) = ("recorded", nil)
    case .given: (names, names_reason) = ("given", nil)
    case .inferred(let rule): (names, names_reason) = ("inferred", rule)
    case .unknown(let reason): (names, names_reason) = ("unknown", reason)
    }
    parameters = optimizer.parameters.map {
      Parameter(id: $0.id, name: $0.name, group: $0.group, state: $0.state.map(Entry.init))
    }
    groups = optimizer.groups.map { group in
      Group(
        parameters: group.count,
        options: Dictionary(group.options.map { ($0.key, $0.summary) }) { _, last in last })
    }
  }

  /// All optimizer states of a checkpoint, or the one at a path.
  static func all(of checkpoint: Checkpoint, at: String?) throws -> [OptimizerState] {
    let found =
      try at.map { [try checkpoint.optimizerState(at: $0)] } ?? checkpoint.optimizerStates()
    guard !found.isEmpty else {
      throw InputError(
        description: "no optimizer's state found: nothing has \"state\" and \"param_groups\" "
          + "(\(checkpoint.path))",
        hint: "\"ckpt show\" prints what is inside; --at names the optimizer's state")
    }
    return found
  }

  /// The source of the parameters' names, as text.
  var naming: String {
    switch names {
    case "recorded": "names as the optimizer records them"
    case "inferred": "names inferred: \(names_reason ?? "")"
    case "unknown": "names not known: \(names_reason ?? "")"
    default: "names as given"
    }
  }

  func show() {
    var rows = [["parameter", "id", "group", "kept", "dtype", "shape", "bytes"]]
    for parameter in parameters {
      let first = [
        Messages.line(parameter.name ?? "?"), Messages.line(parameter.id), "\(parameter.group)",
      ]
      if parameter.state.isEmpty { rows.append(first + ["nothing yet", "", "", ""]) }
      for (place, entry) in parameter.state.enumerated() {
        rows.append(
          (place == 0 ? first : ["", "", ""]) + [
            Messages.line(entry.key), entry.dtype ?? "-",
            entry.shape.map { "\($0)" } ?? Messages.line(entry.value ?? ""),
            entry.bytes.map { "\($0)" } ?? "-",
          ])
      }
    }
    Table.print(rows, rightAligned: [6])
    let bytes = parameters.reduce(0) { $0 + $1.state.reduce(0) { $0 + ($1.bytes ?? 0) } }
    let count = "\(groups.count) group\(groups.count == 1 ? "" : "s")"
    print()
    print(
      Messages.line(
        "\(parameters.count) parameters in \(count) at \(at), \(bytesText(bytes)); \(naming)"))
    for (number, group) in groups.enumerated() {
      let options = group.options.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
      print(Messages.line("group \(number): \(options.joined(separator: ", "))"))
    }
  }

  /// The parameters' names by the paths of their identifiers in an object tree.
  static func namesByPath(_ optimizers: [OptimizerState]) -> [String: String] {
    var names: [String: String] = [:]
    for optimizer in optimizers {
      let start = optimizer.path == "/" ? "" : optimizer.path + "/"
      var places: [Int: Int] = [:]
      for parameter in optimizer.parameters {
        let place = places[parameter.group, default: 0]
        places[parameter.group] = place + 1
        guard let name = parameter.name, name != parameter.id else { continue }
        names["\(start)state/\(parameter.id)"] = name
        names["\(start)param_groups/\(parameter.group)/params/\(place)"] = name
      }
    }
    return names
  }
}
