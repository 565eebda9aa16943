public import CkptTensors
internal import CkptText
internal import OrderedCollections

extension StateDict: Sequence {
  /// A key and its value.
  public typealias Element = (key: String, value: Value)

  /// The entries as a collection, by index.
  public struct Elements: RandomAccessCollection, Sendable {
    fileprivate let entries: OrderedDictionary<ExactText, Value>

    /// Always 0.
    public var startIndex: Int { 0 }
    /// The number of keys.
    public var endIndex: Int { entries.count }

    /// The entry at an index.
    public subscript(index: Int) -> Element {
      let entry = entries.elements[index]
      return (entry.key.text, entry.value)
    }
  }

  /// The entries in order, as a random-access collection.
  public var elements: Elements { Elements(entries: entries) }

  /// An iterator over the entries in order.
  public func makeIterator() -> IndexingIterator<Elements> { elements.makeIterator() }

  /// The number of keys.
  public var underestimatedCount: Int { count }
}

extension StateDict: ExpressibleByDictionaryLiteral {
  /// A state dict of those values, in that order; of a key that occurs twice, the last one counts.
  public init(dictionaryLiteral elements: (String, Value)...) {
    self.init()
    for (key, value) in elements { setValue(value, for: key) }
  }

  /// A state dict of those tensors, in that order; of a key that occurs twice, the last one counts.
  public init(_ tensors: KeyValuePairs<String, Tensor>) {
    self.init()
    for (key, tensor) in tensors { self[key] = tensor }
  }
}

extension StateDict: Equatable {
  /// Whether both have the same keys in the same order, with the same contents; no file is read.
  ///
  /// Tensors are equal as ``CkptTensors/Tensor/hasSameContents(as:)`` says, other objects if they
  /// were read at the same place, or are copies of one `OpaqueObject`. To compare numbers, see
  /// `StateDictDifference`. `metadata` does not count.
  public static func == (left: StateDict, right: StateDict) -> Bool {
    left.count == right.count
      && zip(left.entries, right.entries).allSatisfy { own, other in
        own.key == other.key && own.value.isSame(as: other.value)
      }
  }
}

extension StateDict.Value {
  fileprivate func isSame(as other: StateDict.Value) -> Bool {
    switch (self, other) {
    case (.tensor(let own), .tensor(let others)): own.hasSameContents(as: others)
    case (.object(let own), .object(let others)):
      own.isSame(as: others)
    default: false
    }
  }
}

extension StateDict: CustomStringConvertible {
  /// Keys, dtypes and shapes, a line each; of more than twenty keys the first ones.
  public var description: String {
    let limit = 20
    var lines = ["\(count) \(count == 1 ? "key" : "keys"), \(totalElementCount) elements"]
    for (key, value) in elements.prefix(count > limit ? limit - 1 : limit) {
      switch value {
      case .tensor(let tensor): lines.append("  \(key): \(tensor.dtype.name) \(tensor.shape)")
      case .object(let object): lines.append("  \(key): \(object.summary)")
      }
    }
    if count > limit { lines.append("  and \(count - limit + 1) more") }
    return lines.joined(separator: "\n")
  }
}
