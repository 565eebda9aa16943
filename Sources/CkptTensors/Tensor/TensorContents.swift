internal import CkptPlatform
internal import CkptBytes

extension Tensor {
  /// Whether both are known to hold the same bits, without a look at what is stored in a file.
  ///
  /// They are if they have the same type, shape, strides and offset and read the same storage in the same way. Storages
  /// are the same if they are one object, hold the same bytes in memory, or are the same run of bytes of one file.
  public func hasSameContents(as other: Tensor) -> Bool {
    view == other.view
      || view.isEqual(to: other.view) && storage.isSameRun(as: other.storage)
  }
}

extension Storage {
  /// Whether both are the same bytes, as far as can be told without reading a file.
  fileprivate func isSameRun(as other: Storage) -> Bool {
    switch (source, other.source) {
    case (.bytes(let own), .bytes(let others)): own == others
    case (.region(let own), .region(let others)):
      own.file.identity == others.file.identity && own.offset == others.offset
        && own.byteCount == others.byteCount
    default: self === other
    }
  }
}
