/// The frame that is being read, in pickles from protocol 4 on: a run of whole opcodes.
///
/// Python's readers disagree about a pickle whose opcodes and arguments do not keep to the frames:
/// `pickle.py` refuses it, and the C module ignores the frame or continues elsewhere in the file.
package struct PickleFrame: Sendable {
  private var end: Int?

  /// Creates the state at the start of a pickle: there is no frame.
  package init() {}

  /// Whether an argument of `count` bytes at `position` is in one frame, or outside of any.
  package mutating func allows(_ count: Int, at position: Int) -> Bool {
    guard let end, count > 0 else { return true }
    if position >= end {
      self.end = nil
      return true
    }
    return count <= end - position
  }

  /// Starts a frame of `length` bytes at `position`; returns false if another one has not ended.
  package mutating func begin(at position: Int, length: Int) -> Bool {
    let isAllowed = end.map { position >= $0 } ?? true
    let (sum, overflow) = position.addingReportingOverflow(length)
    end = overflow ? Int.max : sum
    return isAllowed
  }

  /// Whether bytes of the frame stand at `position`.
  package func isInside(_ position: Int) -> Bool { end.map { position < $0 } ?? false }

  /// Forgets the frame.
  package mutating func leave() { end = nil }
}
