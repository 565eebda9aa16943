/// Counts the operations of a described model's forward pass, and throws if they exceed a limit.
/// All modules of the model share one account.
final class RunAccount {
  /// The largest numbers of operations in a pass and of elements in all their results.
  static let most = (operations: 200_000, elements: 1 << 29)

  private var open = 0
  private var operations = 0
  private var elements = 0

  /// Begins the pass of a module; for the outermost module, the counts are reset.
  func begin() {
    if open == 0 { (operations, elements) = (0, 0) }
    open += 1
  }

  /// Ends the pass of a module.
  func end() { open -= 1 }

  /// Counts an operation whose result has the given shape.
  ///
  /// - Throws: `LayerError` if a limit is exceeded, before memory is allocated.
  func take(_ shape: [Int]) throws {
    var count = 1
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard size >= 0, !overflow else {
        throw LayerError("a result of shape \(shape) is impossible")
      }
      count = product
    }
    let (sum, overflow) = elements.addingReportingOverflow(count)
    guard !overflow, sum <= Self.most.elements else {
      throw LayerError(
        "a result of shape \(shape) is too large: all that a pass computes has at most "
          + "\(Self.most.elements) elements")
    }
    elements = sum
    operations += 1
    guard operations <= Self.most.operations else {
      throw LayerError("a pass has at most \(Self.most.operations) operations")
    }
  }

  /// The shape that two shapes broadcast to.
  static func broadcast(_ first: [Int], _ second: [Int]) throws -> [Int] {
    let rank = max(first.count, second.count)
    let left = [Int](repeating: 1, count: rank - first.count) + first
    let right = [Int](repeating: 1, count: rank - second.count) + second
    return try zip(left, right).map { one, other in
      guard one == other || one == 1 || other == 1 else {
        throw LayerError("the shapes \(first) and \(second) do not fit each other")
      }
      return one == 1 ? other : one
    }
  }
}
