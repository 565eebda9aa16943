extension MergeRecipe {
  /// Merges different paths of one model into one index, and adds the base to the sources of a
  /// recipe with `models`, as mergekit does.
  ///
  /// - Parameter identify: returns the identity of the model at a path; nil if only the path
  ///   identifies it.
  /// - Throws: what `identify` throws.
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
