/// The category of an error, by which programs tell errors apart.
public enum DiagnosticKind: Sendable, Hashable, CaseIterable {
  /// The call itself makes no sense: an option, a pattern, a rename.
  case usage
  /// The input is damaged, unsupported, or empty after selection.
  case badInput
  /// An input cannot be opened.
  case cannotOpen
  /// The output cannot be created.
  case cannotCreate
  /// A read or a write failed half way.
  case inputOutput
  /// The work was cancelled, by a signal or by the caller.
  case interrupted
}

/// An error that people can act on.
///
/// `description` is one line that says what is wrong and where (file, record, key, byte offset);
/// `remedies`, where there are any, say what to do about it; ``hint`` is their text.
public protocol Diagnostic: Error, CustomStringConvertible, Sendable {
  /// The category of the error.
  var kind: DiagnosticKind { get }
  /// What the caller can do about the error.
  var remedies: [Remedy] { get }
  /// The text that the caller wrote, and the position in it that is wrong, or nil.
  var excerpt: Excerpt? { get }
}

/// A line of text with a position in it that is to be marked.
public struct Excerpt: Sendable, Hashable {
  /// The text, as the caller wrote it.
  public let text: String
  /// The position of the problem, counted in Unicode scalars; the text's count for its end.
  public let position: Int

  /// The text with the position `position`.
  public init(_ text: String, at position: Int) {
    self.text = text
    self.position = position
  }
}

extension Diagnostic {
  /// No remedies, unless the error has some.
  public var remedies: [Remedy] { [] }
  /// What to do about it, on one line and in the library's terms; nil if nothing is known.
  public var hint: String? {
    remedies.isEmpty ? nil : remedies.map(\.description).joined(separator: "; ")
  }
  /// No excerpt, unless the error has one.
  public var excerpt: Excerpt? { nil }
}
