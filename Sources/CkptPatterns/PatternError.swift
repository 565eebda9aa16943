public import CkptPlatform

/// A pattern, or a rule over keys, that cannot be understood, and the position in it.
public struct PatternError: Diagnostic, Equatable {
  /// What kind of text it is.
  public enum Subject: Sendable, Hashable {
    /// Which keys are meant, such as `under:layer1`.
    case pattern
    /// What keys become, such as `OLD=NEW`.
    case rename
  }

  /// What kind of text it is.
  public let subject: Subject
  /// The text as the caller wrote it.
  public let text: String
  /// What is wrong with it.
  public let problem: String
  /// The position of the problem, counted in Unicode scalars; nil where there is none.
  public let offset: Int?

  /// A pattern that cannot be understood.
  package init(_ text: String, _ problem: String, at offset: Int? = nil) {
    (subject, self.text, self.problem, self.offset) = (.pattern, text, problem, offset)
  }

  /// A rule that cannot be understood.
  package init(rename text: String, _ problem: String, at offset: Int? = nil) {
    (subject, self.text, self.problem, self.offset) = (.rename, text, problem, offset)
  }

  private init(_ subject: Subject, _ text: String, _ problem: String, _ offset: Int?) {
    (self.subject, self.text, self.problem, self.offset) = (subject, text, problem, offset)
  }

  /// The same error of a longer text that has `prefix` Unicode scalars before this one.
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

  /// How a pattern is written.
  public var remedies: [Remedy] {
    switch subject {
    case .pattern: ["a pattern is in:TEXT, is:TEXT, under:TEXT, glob:TEXT or re:TEXT"]
    case .rename: []
    }
  }

  /// The text, with the position in it that is wrong.
  public var excerpt: Excerpt? { offset.map { Excerpt(text, at: $0) } }
}
