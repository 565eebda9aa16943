internal import CkptBytes

/// An archive that is laid out and not written yet.
package struct ZipPlan: Sendable {
  /// Its records, in order.
  package let records: [ZipRecord]
  /// Where they go.
  package let layout: ZipLayout

  /// Lays out `records`, aligned by `padding`.
  ///
  /// - Throws: `ZipError.unwritable` if a name is too long or occurs twice, or the sum too large.
  package init(_ records: [ZipRecord], padding: ZipPadding) throws {
    self.records = records
    layout = try ZipLayout(records.map { ($0.name, $0.byteCount) }, padding: padding)
  }

  /// How many bytes the archive has in all.
  package var byteCount: Int { layout.byteCount }

  /// The bytes that the archive begins with: the first record and its header, if it is in memory.
  package var beginning: [UInt8] {
    guard let first = records.first, case .source(.bytes(let bytes)) = first.content else {
      return []
    }
    return layout.header(layout.slots[0]) + bytes
  }
}
