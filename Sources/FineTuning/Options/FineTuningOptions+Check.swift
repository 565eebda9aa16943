extension FineTuningOptions {
  /// Checks each option's range, and that the options do not contradict each other.
  ///
  /// - Throws: ``FineTuningError/badOption(name:problem:)`` for the first that is out of range or
  ///   contradicts another.
  public func check() throws {
    func require(_ isFine: Bool, _ name: String, _ problem: @autoclosure () -> String) throws {
      if !isFine { throw FineTuningError.badOption(name: name, problem: problem()) }
    }
    func positive(_ value: Double?, _ name: String) throws {
      guard let value else { return }
      try require(value > 0 && value.isFinite, name, "\(value) is no positive number")
    }
    func share(_ value: Double?, _ name: String) throws {
      guard let value else { return }
      try require((0..<1).contains(value), name, "\(value) is not from 0 up to 1")
    }
    func count(_ value: Int, _ name: String, _ range: ClosedRange<Int>) throws {
      try require(
        range.contains(value), name,
        "\(value) is not from \(range.lowerBound) to \(range.upperBound)")
    }
    try positive(learningRate, "lr")
    try positive(headLearningRate, "head_lr")
    try positive(clipNorm, "clip_norm")
    try positive(maxTime, "max_time")
    try require(
      layerDecay.map { $0 > 0 && $0 <= 1 } ?? true, "layer_decay",
      "\(layerDecay ?? 0) is not above 0 and up to 1")
    try share(momentum, "momentum")
    try require(
      weightDecay >= 0 && weightDecay.isFinite, "weight_decay", "\(weightDecay) is negative")
    try share(dropout, "dropout")
    try share(labelSmoothing, "label_smoothing")
    try require((0...1).contains(erase), "erase", "\(erase) is not from 0 to 1")
    try require(mixup >= 0 && mixup.isFinite, "mixup", "\(mixup) is negative")
    try share(ema, "ema")
    try require(
      validationShare.map { $0 > 0 && $0 < 1 } ?? true, "val", "it is not between 0 and 1")
    try count(epochs, "epochs", 0...1_000_000)
    try count(batchSize, "batch_size", 1...65_536)
    try count(accumulate, "accumulate", 1...65_536)
    try count(size, "size", 1...8192)
    try count(resize, "resize", 1...16_384)
    try count(warmup, "warmup", 0...1_000_000)
    if let patience { try count(patience, "patience", 1...1_000_000) }
    try require(seed <= UInt64(Int.max), "seed", "\(seed) is above \(Int.max)")
    try require(
      warmup == 0 || warmup < epochs, "warmup",
      "\(warmup) epochs of \(epochs) leave none for the schedule itself")
    for (name, values) in [("mean", mean), ("std", standardDeviation)] {
      try require(
        values.count == 3 && values.allSatisfy(\.isFinite), name, "three numbers are wanted")
    }
    try require(standardDeviation.allSatisfy { $0 > 0 }, "std", "a deviation is not positive")
    try require(!train.isEmpty, "train", "nothing is to be trained")
    for part in train where ["all", "head"].contains(part) {
      try require(train.count == 1, "train", "\"\(part)\" stands alone")
    }
    try require(
      resize >= size, "resize",
      "a shorter side of \(resize) does not hold a middle of \(size)")
  }
}
