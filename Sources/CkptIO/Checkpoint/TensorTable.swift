internal import CkptTensors

/// The plain tensors of a pickle by their number in the graph: as a dictionary, in a third of its memory.
struct TensorTable: ExpressibleByDictionaryLiteral {
  private var positions: [UInt32: UInt32] = [:]
  /// The tensors in the order in which they were found.
  private(set) var values: [Tensor] = []

  init(dictionaryLiteral elements: (UInt32, Tensor)...) {
    for (number, tensor) in elements { self[number] = tensor }
  }

  /// How many there are.
  var count: Int { values.count }

  /// The tensor of an object; nil if it is none. Setting nil is not meant to happen and does nothing.
  subscript(number: UInt32) -> Tensor? {
    get { positions[number].map { values[Int($0)] } }
    set {
      guard let newValue else { return }
      if let position = positions[number] {
        values[Int(position)] = newValue
      } else {
        positions[number] = UInt32(truncatingIfNeeded: values.count)
        values.append(newValue)
      }
    }
  }
}
