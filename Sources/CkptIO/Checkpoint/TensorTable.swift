package import CkptTensors

/// A dictionary of a pickle's plain tensors by object number that needs a third of the memory of a
/// `Dictionary`.
package struct TensorTable: ExpressibleByDictionaryLiteral {
  private var positions: [UInt32: UInt32] = [:]
  /// The tensors in the order in which they were added.
  package private(set) var values: [Tensor] = []

  package init(dictionaryLiteral elements: (UInt32, Tensor)...) {
    for (number, tensor) in elements { self[number] = tensor }
  }

  /// The number of tensors.
  package var count: Int { values.count }

  /// The tensor of an object; nil if there is none. Setting nil has no effect.
  package subscript(number: UInt32) -> Tensor? {
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
