internal import CCkptKernels
internal import Synchronization
internal import CkptTensors

/// Counts the numbers of a merged tensor that its dtype cannot represent, each time they are
/// computed.
public final class MergeTally: Sendable {
  /// Counts of numbers that changed in rounding.
  public struct Losses: Sendable, Hashable {
    /// Elements that were finite, or computed from finite ones, and became infinite or were clamped
    /// to the type's range.
    public var overflowed = 0
    /// Elements that were not zero and were rounded to zero.
    public var vanished = 0
    /// Elements that are NaN although no input is; infinities produce them.
    public var notNumbers = 0

    /// Counts of 0.
    public init() {}

    /// Whether nothing was lost.
    public var isEmpty: Bool { self == Losses() }
  }

  /// The merged tensor's key.
  public let key: String
  private let sum = Mutex(Losses())

  init(key: String) { self.key = key }

  /// The sum over everything computed so far.
  public var losses: Losses { sum.withLock { $0 } }

  /// Adds the losses of a block's conversion to the output type.
  func add(_ losses: ElementConversion.Losses) {
    guard losses != ElementConversion.Losses() else { return }
    sum.withLock {
      $0.overflowed += losses.overflowed
      $0.vanished += losses.vanished
    }
  }

  /// The number of NaN and of infinite values in a buffer.
  struct Special {
    var notNumbers = 0
    var infinite = 0

    init(_ values: Span<Double>) {
      for index in values.indices where !values[index].isFinite {
        if values[index].isNaN { notNumbers += 1 } else { infinite += 1 }
      }
    }
  }

  /// Adds the values that became infinite or NaN between two counts of the same buffer.
  func add(_ after: Special, since before: Special) {
    let made = max(0, after.notNumbers - before.notNumbers)
    let infinite = max(0, after.infinite - before.infinite)
    guard made + infinite > 0 else { return }
    sum.withLock {
      $0.notNumbers += made
      $0.overflowed += infinite
    }
  }

  /// Adds a block's losses before it is converted: infinities computed from finite inputs, and NaN
  /// where no input is NaN.
  func addSpecial(of block: MergeBlock) {
    let (room, count) = (block.scratch[0], block.count)
    // x - x is NaN exactly where x is infinite or NaN.
    ck_subtract(block.output, block.output, room, count)
    guard ck_count_nan(room, count) > 0 else { return }
    var found = Losses()
    for index in 0..<count where !block.output[index].isFinite {
      if block.output[index].isNaN {
        if !block.inputs.contains(where: { $0[index].isNaN }) { found.notNumbers += 1 }
      } else if block.inputs.allSatisfy({ $0[index].isFinite }) {
        found.overflowed += 1
      }
    }
    guard !found.isEmpty else { return }
    sum.withLock {
      $0.overflowed += found.overflowed
      $0.notNumbers += found.notNumbers
    }
  }
}
