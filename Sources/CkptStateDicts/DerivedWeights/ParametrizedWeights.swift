internal import CkptText
internal import OrderedCollections
internal import CkptTensors

/// The weights that `torch.nn.utils.parametrize` made: keys `M.parametrizations.P.original` and so
/// on.
struct ParametrizedWeights {
  private let stateDict: StateDict
  /// For each list of parametrizations that `_metadata` records, the numbers of its modules.
  private var recorded: [ExactText: Set<Int>] = [:]
  private var lists: OrderedDictionary<ExactText, List> = [:]

  /// The keys of one list of parametrizations.
  private struct List {
    let plain: String
    var parts: [String] = []
    var originals: [String: String] = [:]
    /// The tensors of each parametrization, by their names.
    var modules: [Int: [String: String]] = [:]
    /// A key that none of the known forms has.
    var stranger: String?
  }

  init(_ stateDict: StateDict) {
    self.stateDict = stateDict
    for key in stateDict.entries.keys { add(key.text) }
    guard !lists.isEmpty else { return }
    for entry in stateDict.metadata ?? [] { addModule(entry.module) }
  }

  private static let marker = "parametrizations"

  private mutating func add(_ key: String) {
    guard key.contains(Self.marker) else { return }
    let words = key.split(separator: ".", omittingEmptySubsequences: false)
    guard let position = words.firstIndex(where: { $0 == Self.marker }), position + 2 < words.count
    else { return }
    let name = words[...(position + 1)].joined(separator: ".")
    let plain = (words[..<position] + [words[position + 1]]).joined(separator: ".")
    var list = lists[ExactText(name)] ?? List(plain: plain)
    list.parts.append(key)
    let rest = words[(position + 2)...].map(String.init)
    if rest.count == 1, rest[0].hasPrefix("original") {
      list.originals[rest[0]] = key
    } else if rest.count == 2, let number = Int(rest[0]), (0..<1000).contains(number) {
      list.modules[number, default: [:]][rest[1]] = key
    } else {
      list.stranger = list.stranger ?? key
    }
    lists[ExactText(name)] = list
  }

  private mutating func addModule(_ module: String) {
    let words = module.split(separator: ".", omittingEmptySubsequences: false)
    guard let position = words.firstIndex(where: { $0 == Self.marker }), position + 1 < words.count
    else { return }
    let name = ExactText(words[...(position + 1)].joined(separator: "."))
    guard lists[name] != nil else { return }
    var numbers = recorded[name] ?? []
    if position + 2 < words.count, let number = Int(words[position + 2]),
      (0..<1000).contains(number)
    {
      numbers.insert(number)
    }
    recorded[name] = numbers
  }

  /// The weights that were found, in order.
  var weights: [DerivedWeight] {
    lists.compactMap { name, list in
      // Without an original it is something else that is called so.
      list.originals.isEmpty ? nil : weight(list, recorded: recorded[name])
    }
  }

  private func weight(_ list: List, recorded: Set<Int>?) -> DerivedWeight {
    let numbers = Set(list.modules.keys).union(recorded ?? [])
    var obstacle = list.stranger.map { "nothing is known about \($0)" }
    if stateDict.value(for: list.plain) != nil { obstacle = "\(list.plain) is there, too" }
    var steps: [DerivedWeight.Step] = []
    var family: [String] = []
    var first = 0
    let start: String
    if let single = list.originals["original"], list.originals.count == 1 {
      start = single
    } else if let g = list.originals["original0"], let v = list.originals["original1"],
      list.originals.count == 2
    {
      (start, first) = (v, 1)
      family.append("weight norm")
      steps.append(.magnitude(g))
      let shapes = (stateDict[g], stateDict[v])
      if let g = shapes.0, let v = shapes.1 {
        obstacle = obstacle ?? StepShapes.obstacle(magnitude: g, of: v.shape, v.dtype)
      }
      if let names = list.modules[0] { obstacle = obstacle ?? Self.unknown(names) }
    } else {
      start = list.originals.sorted { $0.key < $1.key }[0].value
      obstacle = obstacle ?? "\(list.originals.count) originals"
    }
    let shape = stateDict[start]?.shape ?? []
    let last = numbers.max() ?? (first - 1)
    if last < first, first == 0 { obstacle = obstacle ?? "the file does not tell what computes it" }
    for number in stride(from: first, through: last, by: 1) {
      let names = list.modules[number] ?? [:]
      guard let u = names["_u"], let v = names["_v"], names.count == 2 else {
        family.append("parametrization")
        obstacle = obstacle ?? Self.unknown(names, number)
        continue
      }
      family.append("spectral norm")
      steps.append(.singularValue(u: u, v: v))
      if let original = stateDict[start], let u = stateDict[u], let v = stateDict[v] {
        obstacle =
          obstacle ?? StepShapes.obstacle(u: u, v: v, of: shape, original.dtype)
      }
    }
    if list.parts.contains(where: { stateDict[$0] == nil }) {
      obstacle = obstacle ?? "a part is no plain tensor"
    }
    let kind: DerivedWeight.Kind =
      switch family {
      case ["weight norm"]: .weightNorm
      case ["spectral norm"]: .spectralNorm
      default: .parametrized
      }
    return DerivedWeight(
      kind: kind, family: family.isEmpty ? "parametrization" : family.joined(separator: ", then "),
      key: list.plain, parts: list.parts, start: start, steps: steps, obstacle: obstacle,
      mayHaveMoreSteps: recorded == nil && obstacle == nil)
  }

  /// Why a parametrization is not one that is computed here.
  private static func unknown(_ names: [String: String], _ number: Int = 0) -> String {
    if names.keys.contains("base") {
      return
        "orthogonal parametrizations do not record which map makes them (matrix exponential or Cayley)"
    }
    guard let name = names.keys.sorted().first else {
      return "parametrization \(number) has no tensors, so the file does not tell what it computes"
    }
    return "nothing is known about the parametrization that holds \"\(name)\""
  }
}
