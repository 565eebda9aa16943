extension Parameter {
  /// Has the elements of a 32-bit parameter drawn another way when they are first looked at; what is
  /// loaded before is never drawn. For modules whose authors do not begin with PyTorch's defaults.
  ///
  /// - Throws: `TrainingError.outOfMemory`.
  @discardableResult
  public func initializing(
    by initialization: Initialization, from random: RandomSource = .shared
  ) throws -> Parameter {
    let seed = random.next()
    let shape = shape
    memory = try Memory(byteCount: Self.byteCount(shape, .float32)) { memory in
      var generator = SplitMix(state: seed)
      initialization.write(
        to: memory.assumingMemoryBound(to: Float.self), shape: shape, random: &generator)
    }
    scalarType = .float32
    return self
  }
}
