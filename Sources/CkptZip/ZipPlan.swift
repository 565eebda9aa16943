internal import CkptBytes

/// An archive with a computed layout, to be written.
package struct ZipPlan: Sendable {
  /// The records, in order.
  package let records: [ZipRecord]
  /// The positions of the records.
  package let layout: ZipLayout

  /// Computes the layout of `records`.
  ///
  /// - Throws: `ZipError.unwritable` if a name is too long or occurs twice, or the total is too
  ///   large.
  package init(_ records: [ZipRecord], padding: ZipPadding) throws {
    self.records = records
    layout = try ZipLayout(records.map { ($0.name, $0.byteCount) }, padding: padding)
  }

  /// The size of the archive in bytes.
  package var byteCount: Int { layout.byteCount }

  /// The first bytes of the archive: the header and the content of the first record, if that is in
  /// memory; otherwise empty.
  package var beginning: [UInt8] {
    guard let first = records.first, case .source(.bytes(let bytes)) = first.content else {
      return []
    }
    return layout.header(layout.slots[0]) + bytes
  }
}
