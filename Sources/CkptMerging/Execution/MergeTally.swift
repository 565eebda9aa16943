internal import CCkptKernels
internal import Synchronization
internal import CkptTensors

/// Counts the numbers of a merged tensor that its dtype cannot represent, each time they are computed.
public final class MergeTally: Sendable {
  /// Counts of numbers that changed in rounding.
  public struct Losses: Sendable, Hashable {
    /// How many were finite, or came of finite numbers, and are infinite, or cut to the range's end.
    public var overflowed = 0
    /// How many were not zero and are zero now.
    public var vanished = 0
    /// How many are NaN of which no input was: they come of infinities.
    public var notNumbers = 0

    /// Counts of 0.
    public init() {}

    /// Whether nothing was lost.
    public var isEmpty: Bool { self == Losses() }
  }

  /// The merged tensor.
  public let key: String
  private let sum = Mutex(Losses())

  init(key: String) { self.key = key }

  /// The sum over everything computed so far.
  public var losses: Losses { sum.withLock { $0 } }

  /// Counts what the conversion of a block lost.
  func add(_ losses: ElementConversion.Losses) {
    guard losses != ElementConversion.Losses() else { return }
    sum.withLock {
      $0.overflowed += losses.overflowed
      $0.vanished += losses.vanished
    }
  }

  /// How many of some numbers are NaN and how many infinite.
  struct Special {
    var notNumbers = 0
    var infinite = 0

    init(_ values: UnsafeMutableBufferPointer<Double>) {
      for value in values where !value.isFinite {
        if value.isNaN { notNumbers += 1 } else { infinite += 1 }
      }
    }
  }

  /// Counts what numbers became infinite or NaN by what was added to them.
  func add(_ after: Special, since before: Special) {
    let made = max(0, after.notNumbers - before.notNumbers)
    let infinite = max(0, after.infinite - before.infinite)
    guard made + infinite > 0 else { return }
    sum.withLock {
      $0.notNumbers += made
      $0.overflowed += infinite
    }
  }

  /// Counts what came of a block before it was converted: infinities of finite numbers, and NaN of what was none.
  func addSpecial(of block: MergeBlock) {
    let (room, count) = (block.scratch[0], block.count)
    // What is infinite or NaN leaves NaN.
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
