public import CkptPlatform

/// An error in a pattern or rename rule, with its position.
public struct PatternError: Diagnostic, Equatable {
  /// The kind of text.
  public enum Subject: Sendable, Hashable {
    /// A pattern that selects keys, such as `under:layer1`.
    case pattern
    /// A rename rule, such as `OLD=NEW`.
    case rename
  }

  /// The kind of text.
  public let subject: Subject
  /// The text as the caller wrote it.
  public let text: String
  /// What is wrong with it.
  public let problem: String
  /// The position of the error in Unicode scalars; nil if it is unknown.
  public let offset: Int?

  /// Creates an error about a pattern.
  package init(_ text: String, _ problem: String, at offset: Int? = nil) {
    (subject, self.text, self.problem, self.offset) = (.pattern, text, problem, offset)
  }

  /// Creates an error about a rename rule.
  package init(rename text: String, _ problem: String, at offset: Int? = nil) {
    (subject, self.text, self.problem, self.offset) = (.rename, text, problem, offset)
  }

  private init(_ subject: Subject, _ text: String, _ problem: String, _ offset: Int?) {
    (self.subject, self.text, self.problem, self.offset) = (subject, text, problem, offset)
  }

  /// The same error for a longer text, in which `prefix` Unicode scalars come before this text.
  package func within(_ written: String, after prefix: Int) -> PatternError {
    PatternError(subject, written, problem, offset.map { $0 + prefix })
  }

  /// The category of the error, from which `ckpt` takes its exit status.
  public var kind: DiagnosticKind { .usage }

  /// One line that says what is wrong and where.
  public var description: String {
    switch subject {
    case .pattern: "\(problem) (pattern \"\(text)\")"
    case .rename: "\(problem) (rename \"\(text)\")"
    }
  }

  /// How patterns or rules are written.
  public var remedies: [Remedy] {
    switch subject {
    case .pattern: ["a pattern is in:TEXT, is:TEXT, under:TEXT, glob:TEXT or re:TEXT"]
    case .rename: []
    }
  }

  /// The text with the position of the error; nil if that is unknown.
  public var excerpt: Excerpt? { offset.map { Excerpt(text, at: $0) } }
}
