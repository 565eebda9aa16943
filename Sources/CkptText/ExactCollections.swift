/// A dictionary from texts that are compared byte by byte, as Python's `dict` compares `str`. In a
/// `Dictionary` from `String`, the two Unicode forms of `é` are one key.
package struct ExactDictionary<Value>: ExpressibleByDictionaryLiteral {
  private var elements: [ExactText: Value] = [:]

  /// Creates an empty dictionary.
  package init() {}

  package init(dictionaryLiteral elements: (String, Value)...) {
    self.init(elements.map { (key: $0, value: $1) })
  }

  /// Creates a dictionary from pairs; the first pair with a key decides.
  package init(_ pairs: some Sequence<(key: String, value: Value)>) {
    elements = Dictionary(pairs.map { (ExactText($0.key), $0.value) }) { first, _ in first }
  }

  /// The value of a key; setting nil removes the key.
  package subscript(key: String) -> Value? {
    get { elements[ExactText(key)] }
    set { elements[ExactText(key)] = newValue }
  }

  /// The value of a key, or the default, which is stored if the value is changed.
  package subscript(key: String, default value: @autoclosure () -> Value) -> Value {
    get { elements[ExactText(key), default: value()] }
    _modify { yield &elements[ExactText(key), default: value()] }
  }

  /// Whether there are no keys.
  package var isEmpty: Bool { elements.isEmpty }

  /// The number of keys.
  package var count: Int { elements.count }

  /// The keys, in no particular order.
  package var keys: some Collection<String> { elements.keys.lazy.map(\.text) }

  /// The values, in no particular order.
  package var values: some Collection<Value> { elements.values }
}

extension ExactDictionary: Sequence {
  /// Iterates over keys and values in no particular order.
  package func makeIterator() -> some IteratorProtocol<(key: String, value: Value)> {
    elements.lazy.map { (key: $0.key.text, value: $0.value) }.makeIterator()
  }
}

extension ExactDictionary: Sendable where Value: Sendable {}
extension ExactDictionary: Equatable where Value: Equatable {}
extension ExactDictionary: Hashable where Value: Hashable {}

/// A set of texts that are compared byte by byte; see ``ExactDictionary``.
package struct ExactSet: Sendable, Hashable, ExpressibleByArrayLiteral {
  private var elements: Set<ExactText> = []

  /// Creates an empty set.
  package init() {}

  package init(arrayLiteral elements: String...) { self.init(elements) }

  /// Creates a set from texts.
  package init(_ texts: some Sequence<String>) { elements = Set(texts.lazy.map(ExactText.init)) }

  /// Whether the set contains a text.
  package func contains(_ text: String) -> Bool { elements.contains(ExactText(text)) }

  /// Adds a text; `inserted` is false if it was there.
  @discardableResult
  package mutating func insert(_ text: String) -> (inserted: Bool, memberAfterInsert: String) {
    let result = elements.insert(ExactText(text))
    return (result.inserted, result.memberAfterInsert.text)
  }

  /// Adds several texts.
  package mutating func formUnion(_ texts: some Sequence<String>) {
    elements.formUnion(texts.lazy.map(ExactText.init))
  }

  /// Whether there are no texts.
  package var isEmpty: Bool { elements.isEmpty }

  /// The number of texts.
  package var count: Int { elements.count }
}

extension ExactSet: Sequence {
  /// Iterates over the texts in no particular order.
  package func makeIterator() -> some IteratorProtocol<String> {
    elements.lazy.map(\.text).makeIterator()
  }
}
