package import CkptBytes

/// What loading a pickle would do, determined from its opcodes only; nothing is imported or called.
///
/// Also pickles that no reader accepts are followed, since everything before the damage is run.
package struct PickleEffects: Sendable {
  /// The classes and functions that the pickle names, each once, in order of appearance.
  package let findings: [PickleFinding]
  /// What is wrong with the pickle, or what readers would do differently; empty if it could be
  /// followed up to STOP.
  package let problems: [PickleProblem]
  /// Files in the pickle that loading it would load, too. They must be scanned like other files.
  package let embedded: [EmbeddedFile]
  /// The offset in the source after STOP, or where the pickle could not be followed any further.
  package let end: Int
  /// Whether STOP was reached.
  package let isComplete: Bool
  /// The pickle's value, if it is an int of at most 32 bits.
  package let number: Int?

  /// The worst rating of the findings and problems; ``embedded`` is not considered.
  package var verdict: GlobalRating {
    max(findings.map(\.rating).max() ?? .safe, problems.map(\.rating).max() ?? .safe)
  }

  /// Follows the pickle that starts at `offset` of `source`.
  ///
  /// - Parameters:
  ///   - source: the file, the record or a larger part that holds the pickle; it is read once,
  ///     from `offset` on, in blocks, at most up to `limit`.
  ///   - limit: the offset at which the pickle must end; the source's end by default.
  ///   - isTorchScript: whether the pickle is in a TorchScript archive, which is read by C++ code
  ///     without Python.
  /// - Throws: what reading `source` throws, unless it is damaged; nothing because of the pickle's
  ///   content.
  package init(
    of source: ByteSource, from offset: Int = 0, limit: Int? = nil, isTorchScript: Bool = false
  ) throws {
    let input = EffectInput(source, from: offset, end: limit ?? source.byteCount)
    var machine = EffectMachine(input, isTorchScript: isTorchScript)
    try machine.run()
    findings = machine.tables.names.compactMap { PickleFinding($0) }
    problems = (machine.problems + machine.input.disputes).sorted { $0.offset < $1.offset }
    embedded = machine.embedded
    end = machine.end
    isComplete = machine.isComplete
    number = if case .int(let value)? = machine.result { Int(value) } else { nil }
  }
}

extension PickleFinding {
  /// What is reported of a name; nil if nothing is.
  fileprivate init?(_ name: EffectName) {
    switch name.kind {
    case .objectDType, .structuredDType: return nil
    case .imported, .attribute, .method, .registered: break
    }
    if name.isTransparent, name.mentions <= 0 { return nil }
    var (rating, reason) = (name.rating, name.reason)
    if name.form == .loadFromBytes, name.mentions <= 0, name.use < .changed {
      rating = .safe
      reason = "what it loads is scanned as a file of its own"
    }
    self.init(
      module: name.module, name: name.name, use: name.use, rating: rating, offset: name.offset,
      reason: reason)
  }
}
