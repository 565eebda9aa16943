/// Lets equal shapes and strides be one array: a model has thousands of tensors and some dozens of shapes.
package struct SharedShapes: Sendable {
  private var known: [[Int]: [Int]] = [:]

  /// So many are remembered at most, and no longer ones.
  private static let limit = (count: 4096, rank: 16)

  /// None yet.
  package init() {}

  /// The array, or one that is equal and was given before.
  package mutating func shared(_ shape: [Int]) -> [Int] {
    if let same = known[shape] { return same }
    if known.count < Self.limit.count, shape.count <= Self.limit.rank { known[shape] = shape }
    return shape
  }
}
