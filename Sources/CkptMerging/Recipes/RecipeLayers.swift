extension MergeRecipe {
  /// Whether the result depends on how layers are numbered: the recipe has slices of layers, or
  /// values that are interpolated over the layers.
  public var dependsOnLayers: Bool {
    hasLayerRanges
      || ([settings] + slices.map(\.settings) + slices.flatMap { $0.sources.map(\.settings) })
        .contains { $0.values.values.contains(where: \.hasGradient) }
  }
}
