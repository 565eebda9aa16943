extension StringProtocol {
  /// Whether both texts are equal byte for byte, as in Python. Swift's `==` also treats the two
  /// Unicode forms of `é` as equal.
  package func isExactly(_ other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}

/// A string that is compared and hashed by its bytes, as in Python, so that the two Unicode forms
/// of `é` differ.
package struct ExactText: Hashable, Sendable {
  package let text: String

  package init(_ text: String) { self.text = text }

  package static func == (left: ExactText, right: ExactText) -> Bool {
    left.text.isExactly(right.text)
  }

  package func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
