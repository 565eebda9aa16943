internal import CkptPickle
internal import CkptTensors

/// Kinds of training state beside a model's weights, recognized by their structure.
enum TrainingState {
  /// An optimizer's `state_dict()`, nested or as flattened by `torch.distributed`.
  case optimizer
  /// A learning rate scheduler's `state_dict()`.
  case scheduler
  /// A `GradScaler`'s `state_dict()`.
  case lossScaler
  /// The states of random number generators.
  case random
}

extension Checkpoint {
  /// The kind of training state that a mapping is; nil for others.
  ///
  /// - Parameter step: the mapping's key in its parent.
  func trainingState(_ ref: PickleGraph.Ref, under step: String) -> TrainingState? {
    if optimizerParts(of: ref) != nil { return .optimizer }
    guard let entries = graph.entries(of: ref), !entries.isEmpty else { return nil }
    let keys = entries.compactMap { graph.text($0.key) }
    func has(_ names: String...) -> Bool { names.allSatisfy(keys.contains) }
    // `_flatten_optim_state_dict` of torch.distributed.checkpoint: state.KEY.exp_avg,
    // param_groups.KEY.lr.
    if keys.count == entries.count, keys.contains(where: { $0.hasPrefix("param_groups.") }),
      keys.allSatisfy({ $0.hasPrefix("param_groups.") || $0.hasPrefix("state.") })
    {
      return .optimizer
    }
    if has("last_epoch"),
      has("_step_count") || has("base_lrs") || has("_last_lr") || has("num_bad_epochs")
    {
      return .scheduler
    }
    if has("growth_factor", "backoff_factor") { return .lossScaler }
    if has("bit_generator") { return .random }
    guard let counts = tensorCounts(of: ref, under: step) else { return nil }
    return counts.all > 0 && counts.weights == 0 ? .random : nil
  }

  /// The number of tensors that are direct values of a mapping with string keys, and how many of
  /// them are not states of random number generators; nil for other objects.
  func tensorCounts(
    of ref: PickleGraph.Ref, under step: String
  ) -> (all: Int, weights: Int)? {
    guard let entries = graph.entries(of: ref) else { return nil }
    var (all, open, generators) = (0, 0, 0)
    var hasCPUState = false
    for (key, value) in entries {
      guard let tensor = tensor(of: value), let name = graph.text(key) else { continue }
      all += 1
      guard tensor.dtype == .uint8, tensor.shape.count == 1 else { continue }
      let isCPUState = Self.cpuStateSizes.contains(tensor.elementCount)
      if isCPUState || Self.meansRandom(name) || Self.meansRandom(step) {
        generators += 1
      } else if Self.deviceStateSizes.contains(tensor.elementCount) {
        open += 1
      }
      hasCPUState = hasCPUState || isCPUState
    }
    return (all, all - generators - (hasCPUState ? open : 0))
  }

  /// The sizes in bytes of `torch.get_rng_state()`, now and before PyTorch 1.6
  /// (CPUGeneratorImpl.cpp).
  private static let cpuStateSizes = [5056, 5048]
  /// The sizes in bytes of `torch.cuda.get_rng_state()`, now and before PyTorch 1.11
  /// (CUDAGeneratorImpl.cpp).
  private static let deviceStateSizes = [16, 816]

  /// Whether a key says that its value is the state of a random number generator.
  static func meansRandom(_ key: String) -> Bool {
    let key = key.lowercased()
    return key.contains("rng") || key.contains("random")
  }
}
