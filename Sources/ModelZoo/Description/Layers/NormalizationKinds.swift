internal import TrainingCore

extension LayerKind {
  /// Normalizations.
  static let normalizations: [LayerKind] = [
    batchNorm("BatchNorm1d", ranks: 2...3) {
      try BatchNorm1d($0, epsilon: $1, momentum: $2, affine: $3, trackRunningStats: $4)
    },
    batchNorm("BatchNorm2d", ranks: 4...4) {
      try BatchNorm2d($0, epsilon: $1, momentum: $2, affine: $3, trackRunningStats: $4)
    },
    LayerKind(
      "LayerNorm", "normalized_shape eps elementwise_affine bias", required: 1, hasTensors: true
    ) { arguments, allowance, random in
      let over = try arguments.shape("normalized_shape")
      try allowance.take(over)
      let layer = try LayerNorm(
        over, epsilon: try arguments.epsilon(),
        elementwiseAffine: try arguments.flag("elementwise_affine", or: true),
        bias: try arguments.flag("bias", or: true))
      return DescribedLayer(layer, ending("LayerNorm", in: over))
    },
    LayerKind("RMSNorm", "normalized_shape eps elementwise_affine", required: 1, hasTensors: true) {
      arguments, allowance, random in
      let over = try arguments.shape("normalized_shape")
      try allowance.take(over)
      let layer = try RMSNorm(
        over, epsilon: arguments.has("eps") ? try arguments.epsilon() : nil,
        elementwiseAffine: try arguments.flag("elementwise_affine", or: true))
      return DescribedLayer(layer, ending("RMSNorm", in: over))
    },
    LayerKind("GroupNorm", "num_groups num_channels eps affine", required: 2, hasTensors: true) {
      arguments, allowance, random in
      let channels = try arguments.integer("num_channels")
      let groups = try arguments.integer("num_groups", 1...channels)
      guard channels % groups == 0 else {
        throw LayerError("GroupNorm: \(channels) channels do not share \(groups) groups")
      }
      try allowance.take([channels])
      let layer = try GroupNorm(
        groups, channels, epsilon: try arguments.epsilon(),
        affine: try arguments.flag("affine", or: true))
      return DescribedLayer(layer) { shape in
        guard shape.count >= 2, shape[1] == channels else {
          throw fail("GroupNorm", "\(channels) channels in the second dimension", shape)
        }
        return shape
      }
    },
    LayerKind("LayerNorm2d", "normalized_shape eps", required: 1, hasTensors: true) {
      arguments, allowance, random in
      let channels = try arguments.single("normalized_shape", LayerArguments.sizes)
      try allowance.take([channels])
      return DescribedLayer(
        try LayerNorm2d(channels, epsilon: try arguments.epsilon(or: 1e-6))
      ) { shape in
        guard shape.count == 4, shape[1] == channels else {
          throw fail("LayerNorm2d", "images of \(channels) channels", shape)
        }
        return shape
      }
    },
  ]

  private static func batchNorm(
    _ name: String, ranks: ClosedRange<Int>,
    _ make: @escaping @Sendable (Int, Double, Double?, Bool, Bool) throws -> BatchNorm
  ) -> LayerKind {
    LayerKind(
      name, "num_features eps momentum affine track_running_stats", required: 1, hasTensors: true
    ) { arguments, allowance, random in
      let channels = try arguments.integer("num_features")
      try allowance.take([2, channels])
      try allowance.takeBuffer([2, channels])
      let momentum =
        arguments["momentum"] == SizeValue.none
        ? nil : try arguments.number("momentum", 0...1, or: 0.1)
      let layer = try make(
        channels, try arguments.epsilon(), momentum, try arguments.flag("affine", or: true),
        try arguments.flag("track_running_stats", or: true))
      return DescribedLayer(layer) { shape in
        guard ranks.contains(shape.count), shape[1] == channels else {
          throw fail(name, "\(channels) channels in the second of its dimensions", shape)
        }
        return shape
      }
    }
  }

  private static func ending(_ layer: String, in over: [Int]) -> ([Int]) throws -> [Int] {
    { shape in
      guard shape.count >= over.count, Array(shape.suffix(over.count)) == over else {
        throw fail(layer, "\(over) in the last dimensions", shape)
      }
      return shape
    }
  }
}
