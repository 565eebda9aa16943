internal import CkptPlatform
internal import TrainingCore

/// Finds problems of loaded weights without running the model.
struct WeightInspection {
  let model: ZooModel
  /// The keys that were loaded; only these weights are inspected.
  let loaded: Set<String>
  private(set) var problems: [WeightProblem] = []
  private(set) var notes: [String] = []
  private var statistics: [String: WeightStatistics] = [:]

  init(_ model: ZooModel, loaded: Set<String>) throws {
    self.model = model
    self.loaded = loaded
    try findOddElements()
    try findUntouchedStatistics()
    try findInitializations()
    try findSwappedBiases()
  }

  /// Finds parameters and buffers with elements that are not finite, and weights that are all zero.
  private mutating func findOddElements() throws {
    var notFinite: [(key: String, count: Int)] = []
    var zeros: [String] = []
    let named =
      model.module.namedParameters.map { ($0.key, $0.parameter as Variable) }
      + model.module.namedBuffers.map { ($0.key, $0.buffer as Variable) }
    for (key, variable) in named where loaded.contains(key) && variable.scalarType == .float32 {
      let found = WeightStatistics(try variable.floats())
      statistics[key] = found
      if found.notFinite > 0 { notFinite.append((key, found.notFinite)) }
      if key.hasSuffix("weight"), found.count > 1, found.zeros == found.count {
        zeros.append(key)
      }
    }
    if !notFinite.isEmpty {
      let count = notFinite.reduce(0) { $0 + $1.count }
      problems.append(
        WeightProblem(
          .notFinite, "\(count) elements are NaN or infinite", keys: notFinite.map(\.key)))
    }
    if !zeros.isEmpty {
      problems.append(WeightProblem(.zeros, "every element is zero", keys: zeros))
    }
  }

  /// Finds batch norms whose running means are all 0 and variances all 1, as in a new layer.
  private mutating func findUntouchedStatistics() throws {
    var untouched: [String] = []
    for (key, module) in model.module.namedModules {
      guard let norm = module as? BatchNorm, let mean = norm.runningMean,
        let variance = norm.runningVar, loaded.contains(key + ".running_mean")
      else { continue }
      if try mean.floats().allSatisfy({ $0 == 0 }), try variance.floats().allSatisfy({ $0 == 1 }) {
        untouched.append(key)
      }
    }
    if !untouched.isEmpty {
      problems.append(
        WeightProblem(
          .untouchedStatistics, "running statistics are those of a new layer", keys: untouched,
          remedy: "they were not saved, or no batch went through in training mode"))
    }
  }

  private mutating func findInitializations() throws {
    var certain: [(key: String, fit: DefaultInitialization)] = []
    var candidates: [(statistics: WeightStatistics, fits: [DefaultInitialization])] = []
    var distances: [Double] = []
    var weights = 0
    var scalesAreNew = true
    let tables = Set(
      model.module.namedModules.filter { $0.module is Embedding }.map { $0.key + ".weight" })
    for (key, parameter) in model.module.namedParameters where loaded.contains(key) {
      guard let found = statistics[key] else { continue }
      if parameter.rank == 1, key.hasSuffix("weight"), !model.isHead(key) {
        // The scales of normalizations are initialized with 1, and change in the first training
        // step.
        if !(found.isConstant && found.mean == 1) { scalesAreNew = false }
      }
      guard parameter.rank >= 2, found.count >= 64, found.zeros < found.count else { continue }
      let known = DefaultInitialization.known(
        for: parameter.shape, others: model.initialStandardDeviations)
      let fits = known.filter { $0.fits(found) }
      if model.isHead(key) {
        if let first = fits.first, first.isCertain(found) {
          notes.append("\(key) is new: \(first.name)")
        }
        continue
      }
      if tables.contains(key), let first = fits.first(where: { $0.isCertain(found) }),
        let rows = EmbeddingRows(try parameter.floats(), of: parameter.shape, fit: first),
        rows.isPartlyTrained || EmbeddingRows.isOfPositions(key)
      {
        // Tokens and positions that do not occur in the inputs are never trained, which does not
        // indicate a problem with other weights.
        notes.append(
          "\(rows.untouched) of \(rows.count) rows of \(key) are as a new model has them (\(first.name)): "
            + "no input reached them")
        continue
      }
      weights += 1
      if !fits.isEmpty { candidates.append((found, fits)) }
      if let first = fits.first(where: { $0.isCertain(found) }) {
        certain.append((key, first))
      } else {
        distances.append(known.map { $0.distance(to: found) }.min() ?? 1)
      }
    }
    guard weights > 0 else { return }
    let isWholeBackboneNew =
      scalesAreNew && candidates.count == weights && isNew(candidates)
    if isWholeBackboneNew || certain.count == weights {
      let names = Set(candidates.flatMap { $0.fits.prefix(1).map(\.name) }).sorted()
      problems.append(
        WeightProblem(
          .initialization,
          "the backbone's weights are as a new model has them: "
            + names.joined(separator: "; "),
          remedy: "the weights were not loaded before they were saved, or never trained"))
      return
    }
    // If no weight has changed much, an apparently unchanged layer proves nothing. But training
    // never leaves all weights of a uniform distribution within its bound.
    let othersAreTrained = distances.sorted()[distances.count / 2] > Self.distanceOfTraining
    let new = certain.filter { othersAreTrained || $0.fit.shape == .uniform }
    if !new.isEmpty {
      let names = Set(new.map(\.fit.name)).sorted()
      problems.append(
        WeightProblem(
          .initialization, "as a new layer has it: \(names.joined(separator: "; "))",
          keys: new.map(\.key), remedy: "the key was missing or skipped when weights were loaded")
      )
    }
    guard new.count < certain.count else { return }
    let part = "\(certain.count) of \(weights) weights are as a new model has them"
    if 2 * certain.count > weights {
      problems.append(
        WeightProblem(
          .initialization, part + ", and the others are near to it",
          remedy: "the training began without pretrained weights, and was short"))
    } else {
      notes.append(part + ", and the others are near to it: the model has been trained little")
    }
  }

  /// The median over a model's weights of the relative difference between the root mean square and
  /// that of the nearest initialization is at least 0.11 in pretrained models, and below 0.04 after
  /// a few dozen training steps.
  static let distanceOfTraining = 0.06

  /// Whether layers whose weights each have an initial distribution also have it when combined,
  /// which detects smaller differences.
  private func isNew(
    _ candidates: [(statistics: WeightStatistics, fits: [DefaultInitialization])]
  ) -> Bool {
    var (uniform, normal) = (PooledSample(shape: .uniform), PooledSample(shape: .normal))
    for (found, fits) in candidates {
      // If several distributions fit, the nearest is used.
      let nearest = fits.min {
        (found.rootMeanSquare / $0.standardDeviation - 1).magnitude
          < (found.rootMeanSquare / $1.standardDeviation - 1).magnitude
      }
      guard let nearest else { return false }
      nearest.shape == .uniform
        ? uniform.add(found, standardDeviation: nearest.standardDeviation)
        : normal.add(found, standardDeviation: nearest.standardDeviation)
    }
    return uniform.fits && normal.fits
  }

  /// Finds attention layers in which queries and keys are swapped. The keys' biases add the same
  /// number to all scores of a query, which softmax ignores, so training does not change them from
  /// zero. If they are large and those of the queries are not, the two are swapped.
  private mutating func findSwappedBiases() throws {
    var parameters: [String: Parameter] = [:]
    for (key, parameter) in model.module.namedParameters { parameters[key] = parameter }
    func size(_ part: (key: String, range: Range<Int>)) throws -> Double? {
      guard loaded.contains(part.key), let parameter = parameters[part.key],
        part.range.upperBound <= parameter.count
      else { return nil }
      return try parameter.floats()[part.range].reduce(0) { $0 + Double($1 * $1) }.squareRoot()
    }
    var layers: [(name: String, query: Double, key: Double)] = []
    for biases in model.attentionBiases {
      guard let query = try size(biases.query), let key = try size(biases.key) else { continue }
      if query.isFinite, key.isFinite, max(query, key) > 1e-6 {
        layers.append((biases.layer, query, key))
      }
    }
    let swapped = layers.filter { $0.query < 0.1 * $0.key }
    let upright = layers.count { $0.key < 0.1 * $0.query }
    guard !swapped.isEmpty, 2 * (swapped.count + upright) > layers.count else { return }
    problems.append(
      WeightProblem(
        .swappedQueryAndKey,
        "the keys' biases are large and the queries' are not, which no training does: the two seem "
          + "to have changed places", keys: swapped.map(\.name)))
  }
}
