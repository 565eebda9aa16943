internal import CkptBytes
internal import CkptPlatform
internal import CkptText
internal import CkptZip

/// The records of a damaged archive by name.
struct SalvagedArchive {
  let file: File
  /// The records and the gaps between them.
  let search: ZipSearch
  /// The top folder that most records have, with a slash; empty if there is none.
  let folder: String
  /// The records whose name is certain, by name.
  private var named: [ExactText: [FoundRecord]] = [:]
  /// The records whose header and directory state different names, by both of them.
  private var disputed: [ExactText: [FoundRecord]] = [:]

  /// Whether records are used whose header may be a part of another record.
  private let keepsUncertain: Bool

  init(_ file: File, keepsUncertain: Bool, _ cancellation: Cancellation) throws {
    self.file = file
    self.keepsUncertain = keepsUncertain
    search = try ZipSearch(file, cancellation: cancellation)
    var counts: [String: Int] = [:]
    let certain = search.records.filter { !$0.isUncertain }
    let certainNames = Set(certain.map { ExactText($0.name) })
    for record in search.records
    where !record.isUncertain || !certainNames.contains(ExactText(record.name)) {
      if certain.isEmpty || !record.isUncertain, let slash = record.name.firstIndex(of: "/") {
        counts[String(record.name[...slash]), default: 0] += 1
      }
      guard let other = record.otherName else {
        named[ExactText(record.name), default: []].append(record)
        continue
      }
      for name in [record.name, other] { disputed[ExactText(name), default: []].append(record) }
    }
    folder = counts.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key ?? ""
  }

  /// What was found of a record.
  enum Lookup {
    case found(FoundRecord)
    /// The record cannot be used, for the reason given.
    case lost(String)
  }

  /// The record with a name.
  ///
  /// - Parameter expected: the names of all records that are needed. If a record's header and
  ///   directory state different names, the one that is expected and is not another record's is
  ///   right.
  func record(named name: String, expected: Set<ExactText> = []) -> Lookup {
    if let found = named[ExactText(name)] {
      guard found.count == 1 else {
        return .lost("two records have its name, \(Text.quoted(name))")
      }
      guard keepsUncertain || !found[0].isUncertain else {
        return .lost("something before its record, \(Text.quoted(name)), is damaged")
      }
      return .found(found[0])
    }
    let candidates = (disputed[ExactText(name)] ?? []).filter { record in
      let other = record.name.isExactly(name) ? record.otherName ?? "" : record.name
      return !expected.contains(ExactText(other)) || named[ExactText(other)] != nil
    }
    switch candidates.count {
    case 1: return .found(candidates[0])
    case 0: return .lost("its record, \(Text.quoted(name)), is not in the file")
    default: return .lost("it is unclear which record is \(Text.quoted(name))")
    }
  }

  /// The names that are certain, in the order of the file.
  var names: [String] { search.records.filter { $0.otherName == nil }.map(\.name) }

  /// The bytes of a record, as far as they are certain, or all of them if they may be damaged.
  func source(of record: FoundRecord) -> ByteSource {
    if record.method == 8 {
      return .computed(
        InflatedRegion(
          FileRegion(
            file: file, offset: record.offset, byteCount: record.byteCount,
            recordedCRC32: record.crc32, name: record.name), byteCount: record.plainByteCount))
    }
    let isIntact = record.state == .intact
    return .region(
      FileRegion(
        file: file, offset: record.offset, byteCount: record.byteCount,
        recordedCRC32: isIntact ? record.crc32 : nil, name: record.name))
  }

  /// Whether a compressed record can be inflated and matches its checksum.
  func canInflate(_ record: FoundRecord, _ cancellation: Cancellation) throws -> Bool {
    guard record.state == .unrecorded, record.plainByteCount / 1100 <= record.byteCount else {
      return false
    }
    do {
      try source(of: record).forEachBlock { _, _ in try cancellation.check() }
      return true
    } catch let error as any Diagnostic where error.kind == .badInput {
      return false
    }
  }
}
