/// Replaces equal shapes and strides by one array to save memory: a model has thousands of tensors,
/// but only dozens of shapes.
package struct SharedShapes: Sendable {
  private var known: [[Int]: [Int]] = [:]

  /// The maximum number of arrays that are remembered, and their maximum length.
  private static let limit = (count: 4096, rank: 16)

  /// Creates an empty collection.
  package init() {}

  /// Returns an equal array that was passed before, or the array itself.
  package mutating func shared(_ shape: [Int]) -> [Int] {
    if let same = known[shape] { return same }
    if known.count < Self.limit.count, shape.count <= Self.limit.rank { known[shape] = shape }
    return shape
  }
}
