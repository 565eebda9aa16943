extension MergeRecipe {
  /// Whether anything depends on which modules the layers are: slices of them, or values that go over them.
  public var dependsOnLayers: Bool {
    hasLayerRanges
      || ([settings] + slices.map(\.settings) + slices.flatMap { $0.sources.map(\.settings) })
        .contains { $0.values.values.contains(where: \.hasGradient) }
  }
}
