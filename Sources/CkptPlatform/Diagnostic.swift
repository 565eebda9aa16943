/// What went wrong, as the caller of a command must be able to tell it apart.
///
/// The raw value is the exit status of the `ckpt` command (see sysexits(3)).
public enum DiagnosticKind: Int32, Sendable {
  /// The call itself makes no sense: an option, a pattern, a rename.
  case usage = 64
  /// The input is damaged, unsupported, or empty after selection.
  case badInput = 65
  /// An input cannot be opened.
  case cannotOpen = 66
  /// The output cannot be created.
  case cannotCreate = 73
  /// A read or a write failed half way.
  case inputOutput = 74
  /// The work was cancelled, by a signal or by the caller.
  case interrupted = 130
}

/// An error that people can act on.
///
/// `description` is one line that says what is wrong and where (file, record, key, byte offset);
/// `hint`, where there is one, says what to do about it.
public protocol Diagnostic: Error, CustomStringConvertible, Sendable {
  /// How the error is to be told apart by scripts.
  var kind: DiagnosticKind { get }
  /// What to do about it, one line, or nil.
  var hint: String? { get }
  /// The text that the caller wrote, and the place in it that is wrong, or nil.
  var excerpt: Excerpt? { get }
}

/// A place in a line of text, to be shown with a mark below it.
public struct Excerpt: Sendable, Hashable {
  /// The text, as the caller wrote it.
  public let text: String
  /// The place that is wrong, counted in Unicode scalars; the text's count for its end.
  public let place: Int

  /// The place `place` of `text`.
  public init(_ text: String, at place: Int) {
    self.text = text
    self.place = place
  }
}

extension Diagnostic {
  /// No hint, unless the error has one.
  public var hint: String? { nil }
  /// No excerpt, unless the error has one.
  public var excerpt: Excerpt? { nil }
}
