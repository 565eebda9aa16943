/// A size in pixels for the height and one for the width, as PyTorch's tuples of two integers; one
/// integer literal stands for both.
public struct Pair: Sendable, Hashable, ExpressibleByIntegerLiteral {
  /// For the height.
  public var first: Int
  /// For the width.
  public var second: Int

  /// Two numbers.
  public init(_ first: Int, _ second: Int) {
    self.first = first
    self.second = second
  }

  /// The same number twice.
  public init(_ both: Int) { self.init(both, both) }

  /// The same number twice.
  public init(integerLiteral value: Int) { self.init(value, value) }

  var sizes: (Int, Int) { (first, second) }
}
