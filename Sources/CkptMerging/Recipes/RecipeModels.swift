extension MergeRecipe {
  /// The recipe with each model under one number, and the base among the models of a whole merge, as in mergekit.
  ///
  /// Two paths of one model are one model: a base that is named otherwise than in the list is no further one.
  /// - Parameter identify: what a path leads to; nil where only the path tells.
  func resolvingModels(_ identify: (String) throws -> AnyHashable?) rethrows -> MergeRecipe {
    var known: [AnyHashable: Int] = [:]
    var numbers: [Int] = []
    for (number, path) in models.enumerated() {
      guard let identity = try identify(path) else {
        numbers.append(number)
        continue
      }
      numbers.append(known[identity] ?? number)
      if known[identity] == nil { known[identity] = number }
    }
    var result = self
    result.base = base.map { numbers[$0] }
    result.slices = slices.map { slice in
      Slice(
        sources: slice.sources.map {
          Source(model: numbers[$0.model], layers: $0.layers, settings: $0.settings)
        },
        base: slice.base.map { numbers[$0] }, settings: slice.settings)
    }
    guard !hasLayerRanges, let base = result.base, !result.slices.isEmpty,
      !result.slices[0].sources.contains(where: { $0.model == base })
    else { return result }
    result.slices[0].sources.append(
      Source(model: base, layers: 0..<0, settings: MergeSettings()))
    return result
  }
}
