internal import StateDictKit
internal import CkptStateDicts
internal import CkptTensors
internal import TrainingCore

/// Batches that a file holds as tensors `0.input`, `0.target`, `1.input`, …
struct Batches {
  private let tensors: StateDict
  /// How many there are.
  let count: Int
  /// Whether inputs have 64 bits; the model is then to have them, too.
  var isWide: Bool { tensors["0.input"]?.dtype == .float64 }

  init(_ path: String) throws {
    tensors = try Checkpoint(contentsOf: path).stateDict()
    var count = 0
    while tensors["\(count).input"] != nil, tensors["\(count).target"] != nil { count += 1 }
    guard count > 0 else { throw Complaint("\(path) holds no batches") }
    self.count = count
  }

  /// The batch of a number, which goes round.
  subscript(number: Int) -> (input: Variable, target: Variable) {
    get throws {
      let position = number % count
      guard let input = tensors["\(position).input"], let target = tensors["\(position).target"]
      else {
        throw Complaint("there is no batch \(position)")
      }
      return (try Variable(input), try Variable(target))
    }
  }
}

/// What the program cannot do.
struct Complaint: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
