package import CkptBytes
internal import CkptPickle

/// What loading a pickle would do, determined from its opcodes only; nothing is imported or called.
///
/// Also pickles that no reader accepts are followed, since everything before the damage is run.
package struct PickleEffects: Sendable {
  /// The classes and functions that the pickle names, each once, in order of appearance.
  package private(set) var findings: [PickleFinding] = []
  /// What is wrong with the pickle; empty if it could be followed up to STOP.
  package private(set) var problems: [PickleProblem] = []
  /// Files in the pickle that loading it would load, too. They must be scanned like other files.
  package private(set) var embedded: [EmbeddedFile] = []
  /// The offset in the source after STOP, or where a reader would fail.
  package private(set) var end: Int
  /// Whether STOP was reached.
  package private(set) var isComplete = false
  /// The pickle's value, if it is an int that fits.
  package private(set) var number: Int?

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
  /// - Throws: what reading `source` throws; nothing because of the pickle's content.
  package init(
    of source: ByteSource, from offset: Int = 0, limit: Int? = nil, isTorchScript: Bool = false
  ) throws {
    let limit = min(limit ?? source.byteCount, source.byteCount)
    let bytes = try source.bytes(in: min(offset, limit)..<limit)
    let read = PickleGraph.salvage(bytes)
    end = offset + read.end
    isComplete = read.problem == nil
    if let problem = read.problem {
      problems.append(
        PickleProblem(what: problem.description, offset: end, rating: .unknown))
    }
    if let last = read.graph.nodes.last, case .int(let value) = last { number = Int(exactly: value) }
    for name in NamesInPickle(read.graph).names {
      findings.append(
        PickleFinding(
          module: name.module, name: name.name, use: name.isCalled ? .called : .named,
          rating: .of(module: name.module, name: name.name, isTorchScript: isTorchScript),
          offset: offset, reason: nil))
    }
  }
}
