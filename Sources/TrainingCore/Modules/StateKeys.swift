extension Module {
  /// The keys of a state dict with the shapes of what they stand for, in its order; nothing is drawn at
  /// random for that.
  public var stateShapes: [(key: String, shape: [Int])] {
    stateMembers.map { ($0.key, $0.variable.shape) }
  }
}
