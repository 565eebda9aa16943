internal import TrainingCore

extension LayerKind {
  /// Layers that change shapes.
  static let reshaping: [LayerKind] = [
    LayerKind("Flatten", "start_dim end_dim") { arguments, _, _ in
      let first = try arguments.integer("start_dim", -8...7, or: 1)
      let last = try arguments.integer("end_dim", -8...7, or: -1)
      return DescribedLayer(Flatten(startDimension: first, endDimension: last))
    },
    LayerKind("Permute", "dims", required: 1) { arguments, _, _ in
      guard case .list(let items)? = arguments["dims"] else {
        throw LayerError("Permute takes a list of dimensions, as in Permute([0, 2, 3, 1])")
      }
      let order = try items.map { item in
        guard case .integer(let dimension) = item, (-8...7).contains(dimension) else {
          throw LayerError("Permute takes a list of dimensions, as in Permute([0, 2, 3, 1])")
        }
        return dimension
      }
      return DescribedLayer(Permute(order))
    },
  ]
}
