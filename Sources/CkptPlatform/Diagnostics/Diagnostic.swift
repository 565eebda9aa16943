/// The category of an error; programs can derive an exit status from it.
public enum DiagnosticKind: Sendable, Hashable, CaseIterable {
  /// An argument is invalid, such as an option, a pattern, or a rename.
  case usage
  /// The input is damaged, unsupported, or empty after selection.
  case badInput
  /// An input cannot be opened.
  case cannotOpen
  /// The output cannot be created.
  case cannotCreate
  /// A read or a write failed.
  case inputOutput
  /// The work was canceled, by a signal or by the caller.
  case interrupted
}

/// The error of every public function: its category, its place, what caused it, and suggestions for
/// how to fix it.
///
/// A caller that does not care which part of the library failed catches `any Diagnostic`; the
/// concrete types tell more, and can be compared by value.
///
/// `description` is one line that says what is wrong and where (file, record, key, byte offset).
/// `remedies` are suggestions, possibly empty; ``hint`` is their text.
public protocol Diagnostic: Error, CustomStringConvertible, Sendable {
  /// The category of the error.
  var kind: DiagnosticKind { get }
  /// The place that the error is about.
  var context: ErrorContext { get }
  /// The error that caused this one; nil if there is none.
  var underlying: (any Error)? { get }
  /// What the caller can do about the error.
  var remedies: [Remedy] { get }
  /// The text that the caller wrote, with the position of the error in it; nil if there is none.
  var excerpt: Excerpt? { get }
}

/// A line of text and a position in it to be marked.
public struct Excerpt: Sendable, Hashable {
  /// The text, as the caller wrote it.
  public let text: String
  /// The position of the problem in Unicode scalars; the number of scalars for the end of the text.
  public let position: Int

  /// Creates an excerpt of `text` with a marked position.
  public init(_ text: String, at position: Int) {
    self.text = text
    self.position = position
  }
}

extension Diagnostic {
  /// The default: no place.
  public var context: ErrorContext { ErrorContext() }
  /// The default: nothing.
  public var underlying: (any Error)? { nil }
  /// The default: no suggestions.
  public var remedies: [Remedy] { [] }
  /// The suggestions on one line, in the library's terms; nil if there are none.
  public var hint: String? {
    remedies.isEmpty ? nil : remedies.map(\.description).joined(separator: "; ")
  }
  /// The default: no excerpt.
  public var excerpt: Excerpt? { nil }
}
