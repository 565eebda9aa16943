internal import Foundation

/// Changes an optimizer's learning rates from epoch to epoch: PyTorch's
/// `torch.optim.lr_scheduler.LRScheduler`, the base class of all schedulers.
///
/// As in PyTorch, the rate of each parameter group is worked out from the one before, so that a
/// rate that was changed by hand in between keeps its effect.
public class LRScheduler {
  /// The optimizer whose learning rates change.
  public let optimizer: any Optimizer
  /// The number of the current epoch, from 0; -1 for schedulers of a ``SequentialLR`` that have not
  /// begun yet.
  public internal(set) var lastEpoch = 0
  /// The initial learning rate of each parameter group, `base_lrs` in PyTorch.
  public internal(set) var baseLearningRates: [Double]

  /// The current learning rate of each parameter group: PyTorch's `get_last_lr()`.
  public var lastLearningRates: [Double] { optimizer.learningRates }

  init(_ optimizer: any Optimizer) {
    self.optimizer = optimizer
    optimizer.initialLearningRates = zip(
      optimizer.initialLearningRates, optimizer.learningRates
    ).map { $0 ?? $1 }
    baseLearningRates = optimizer.initialLearningRates.compactMap(\.self)
  }

  /// Sets the learning rates of epoch 0; the last call of each initializer.
  final func start() { optimizer.learningRates = rates(optimizer.learningRates) }

  /// Goes to the next epoch and sets its learning rates; called after the optimizer's steps of an
  /// epoch.
  public func step() {
    lastEpoch += 1
    optimizer.learningRates = rates(optimizer.learningRates)
  }

  /// Returns to epoch 0; used when a sequence starts the scheduler.
  func restart() {
    lastEpoch = 0
    optimizer.learningRates = closedRates() ?? rates(optimizer.learningRates)
  }

  /// The learning rates of `lastEpoch`, given those of the epoch before: PyTorch's `get_lr`.
  func rates(_ rates: [Double]) -> [Double] { rates }

  /// The learning rates of `lastEpoch` by a formula that does not depend on previous ones, if
  /// PyTorch has one: `_get_closed_form_lr`.
  func closedRates() -> [Double]? { nil }

  /// The maximum period in epochs; keeps sums of periods within an `Int`.
  static let longestPeriod = 1 << 40

  static func check(_ isFine: Bool, _ problem: @autoclosure () -> String) throws {
    if !isFine { throw TrainingError.badArgument(operation: "scheduler", problem: problem()) }
  }
}
