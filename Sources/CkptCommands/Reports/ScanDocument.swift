internal import StateDictKit

/// The JSON document of `scan`.
struct ScanDocument: Encodable {
  struct Global: Encodable {
    let module, name, rating: String
    let called: Bool
    let `in`: String
    let reason: String?
  }
  struct Finding: Encodable {
    let what, rating, `in`: String
    let damage: Bool
  }
  struct Skipped: Encodable {
    let what, why: String
    let harmless: Bool
  }
  struct File: Encodable {
    let file, verdict: String
    let globals: [Global]
    let findings: [Finding]
    let skipped: [Skipped]
    let pickles: [String]
    let pickle_count: Int
  }
  let schema = 1
  let verdict: String
  let files: [File]

  init(_ report: ScanReport) {
    verdict = report.verdict.rawValue
    files = report.files.map { file in
      File(
        file: file.file, verdict: file.verdict.rawValue,
        globals: file.globals.map {
          Global(
            module: $0.module, name: $0.name, rating: $0.rating.rawValue, called: $0.isCalled,
            in: $0.pickle, reason: $0.reason)
        },
        findings: file.findings.map {
          Finding(what: $0.what, rating: $0.rating.rawValue, in: $0.place, damage: $0.isDamage)
        },
        skipped: file.skipped.map {
          Skipped(what: $0.what, why: $0.why, harmless: $0.isHarmless)
        }, pickles: file.pickles, pickle_count: file.pickleCount)
    }
  }
}
