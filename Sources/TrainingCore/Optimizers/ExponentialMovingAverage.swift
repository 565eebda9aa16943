internal import CCkptTrainingKernels
public import CkptStateDicts

/// Running averages of a model's parameters, which often classify better than the parameters
/// themselves: PyTorch's `torch.optim.swa_utils.AveragedModel` with `get_ema_multi_avg_fn(decay)`.
///
/// ```swift
/// let average = try ExponentialMovingAverage(of: model, decay: 0.999)
/// for (input, targets) in batches {
///   …
///   try optimizer.step()
///   try average.update()
/// }
/// let outputs = try average.withAveragedWeights { try model.eval()(input) }
/// ```
public final class ExponentialMovingAverage {
  /// The model whose parameters are averaged.
  public let model: Module
  /// The part of the averages that is kept in each update, from 0 to 1.
  public let decay: Double
  /// The number of updates, `n_averaged` in PyTorch. The first one copies the parameters.
  public private(set) var averagedCount = 0

  /// A parameter or buffer of the model, and its average.
  private struct Part {
    let own: Variable
    let average: Variable

    /// Has each take the other's elements.
    func exchange() {
      swap(&own.memory, &average.memory)
      swap(&own.scalarType, &average.scalarType)
    }
  }

  private let parameters: [Part]
  private let buffers: [Part]
  /// Whether the model has the averages, and the parts named averages have the model's own
  /// elements.
  private var isExchanged = false

  /// Averages that are copies of the model's parameters and buffers.
  ///
  /// - Parameters:
  ///   - model: the model; modules must not be added to it or taken away later.
  ///   - decay: the part of the averages that is kept in each update, from 0 to 1.
  /// - Throws: `TrainingError.badArgument` for another decay; `TrainingError.outOfMemory`.
  public init(of model: Module, decay: Double = 0.999) throws {
    guard (0...1).contains(decay) else {
      throw TrainingError.badArgument(operation: "average", problem: "a decay of \(decay)")
    }
    self.model = model
    self.decay = decay
    parameters = try model.parameters.map {
      Part(own: $0, average: try $0.detached().copied())
    }
    buffers = try model.namedBuffers.map {
      Part(own: $0.buffer, average: try $0.buffer.detached().copied())
    }
  }

  /// Moves the averages towards the model's parameters,
  /// `average = decay · average + (1 - decay) · parameter`, and copies its buffers; called after
  /// each step of the optimizer: PyTorch's `update_parameters`.
  ///
  /// - Throws: `TrainingError.badType` if the model was converted to another type, and
  ///   `TrainingError.badArgument` within ``withAveragedWeights(_:)``, before anything is changed.
  public func update() throws {
    guard !isExchanged else {
      throw TrainingError.badArgument(
        operation: "average", problem: "an update while the model has the averages")
    }
    for part in parameters + buffers where part.own.scalarType != part.average.scalarType {
      throw TrainingError.badType(
        operation: "average",
        problem: "\(part.own.scalarType.rawValue) to \(part.average.scalarType.rawValue)")
    }
    for part in parameters {
      if averagedCount == 0 {
        try part.average.assign(part.own.detached())
      } else if part.own.scalarType == .float64 {
        move(Double.self, part)
      } else {
        move(Float.self, part)
      }
    }
    for part in buffers { try part.average.assign(part.own.detached()) }
    averagedCount += 1
  }

  /// Moves an average by `torch.lerp`, which begins at the nearer end.
  private func move<T: Scalar>(_: T.Type, _ part: Part) {
    let (own, average) = (part.own.pointer(T.self), part.average.pointer(T.self))
    let weight = T(1 - decay)
    ComputeThreads.split(part.own.count, grain: elementGrain) { range in
      let first = range.lowerBound
      if let own = asFloats(UnsafePointer(own)), let average = asFloats(average) {
        return ct_lerp(average + first, own + first, Int64(range.count), Float(weight))
      }
      for i in range {
        let distance = own[i] - average[i]
        average[i] =
          weight < 0.5 ? average[i] + weight * distance : own[i] - (1 - weight) * distance
      }
    }
    keepAlive(part.own, part.average)
  }

  /// Runs `body` while the model has the averages; afterwards it has its own parameters and buffers
  /// again, bit for bit. No elements are copied. The model must not be trained meanwhile.
  ///
  /// - Returns: what `body` returns.
  /// - Throws: what `body` throws.
  public func withAveragedWeights<Result>(_ body: () throws -> Result) rethrows -> Result {
    if isExchanged { return try body() }
    func exchange() {
      for part in parameters + buffers { part.exchange() }
      isExchanged.toggle()
    }
    exchange()
    defer { exchange() }
    return try body()
  }

  /// The averages and the buffers under the model's keys. The tensors share memory with the
  /// averages, so that later updates show in them.
  ///
  /// - Throws: `TensorError` if a tensor cannot be described.
  public func stateDict() throws -> StateDict {
    try withAveragedWeights { try model.stateDict() }
  }

  /// Continues from averages that ``stateDict()`` gave.
  ///
  /// - Parameters:
  ///   - stateDict: the averages under the model's keys.
  ///   - averagedCount: the number of updates that made them. With 0 the next update replaces them
  ///     by the parameters.
  /// - Throws: `TrainingError.badArgument` for a negative number; `TrainingError.cannotLoad` with
  ///   everything that does not fit, before anything is changed; what reading tensors throws.
  public func load(_ stateDict: StateDict, averagedCount: Int = 1) throws {
    guard averagedCount >= 0 else {
      throw TrainingError.badArgument(
        operation: "average", problem: "\(averagedCount) updates")
    }
    _ = try withAveragedWeights { try model.load(stateDict) }
    self.averagedCount = averagedCount
  }
}
