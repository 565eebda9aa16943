internal import CkptPlatform
internal import CkptBytes

extension Tensor {
  /// Whether both tensors certainly have the same bits, without reading files.
  ///
  /// This is so if they have the same dtype, shape, strides, and offset, and equal storages: the
  /// same object, equal bytes in memory, or the same byte range of one file.
  public func hasSameContents(as other: Tensor) -> Bool {
    view == other.view
      || view.isEqual(to: other.view) && storage.isSameRun(as: other.storage)
  }
}

extension Storage {
  /// Whether both storages certainly have the same bytes, without reading files.
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
