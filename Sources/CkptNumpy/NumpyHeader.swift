package import CkptBytes
internal import CkptPlatform
package import CkptTensors

/// The header of an `.npy` file: the dtype, shape, and order of the array's elements.
///
/// The header is a Python dict with three entries, written as a literal (NumPy's NEP 1). Only this
/// form is parsed, and nothing is evaluated.
package struct NumpyHeader: Sendable, Equatable {
  /// The dtype of the elements.
  package let dtype: DType
  /// Whether the elements are big-endian.
  package let isBigEndian: Bool
  /// The sizes of the dimensions.
  package let shape: [Int]
  /// Whether the elements are in column-major (Fortran) rather than row-major order.
  package let isFortranOrder: Bool

  /// The first six bytes of every file.
  package static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// The number of bytes from which the header's length can be determined.
  package static let prefixByteCount = 12
  /// The maximum size of a header. NumPy itself accepts 10,000 bytes by default.
  static let lengthLimit = 64 << 10

  /// Creates the header of a row-major, little-endian array.
  package init(dtype: DType, shape: [Int]) {
    self.dtype = dtype
    self.shape = shape
    isBigEndian = false
    isFortranOrder = false
  }

  /// The size of the header, which is the file offset of the elements.
  ///
  /// - Parameters:
  ///   - start: the file's first ``prefixByteCount`` bytes, or fewer if the file is shorter.
  ///   - file: the file's name for error messages.
  /// - Throws: `NumpyError.badHeader`.
  package static func byteCount(of start: [UInt8], file: String) throws(NumpyError) -> Int {
    guard start.count >= 10, start.starts(with: magic) else {
      throw .badHeader(file: file, "no array of numpy's")
    }
    let version = start[6]
    guard (1...3).contains(version), start[7] == 0 else {
      throw .badHeader(
        file: file, "version \(version).\(start[7]) of numpy's format is not supported")
    }
    if version == 1 { return 10 + Int(UInt16(littleEndian: start[8..<10])) }
    guard start.count >= 12 else { throw .badHeader(file: file, "the header is cut off") }
    let length = Int(UInt32(littleEndian: start[8..<12]))
    guard length <= lengthLimit else {
      throw .badHeader(file: file, "a header of \(length) bytes where \(lengthLimit) are allowed")
    }
    return 12 + length
  }

  /// Parses a header.
  ///
  /// - Parameters:
  ///   - bytes: the bytes of the header; their number is ``byteCount(of:file:)``.
  ///   - file: the file's name for error messages.
  /// - Throws: `NumpyError.badHeader`.
  package init(_ bytes: [UInt8], file: String) throws(NumpyError) {
    let text = bytes.dropFirst(bytes.count > 6 && bytes[6] == 1 ? 10 : 12)
    guard let literal = NumpyLiteral(text) else {
      throw .badHeader(file: file, "the header is no dict of descr, fortran_order and shape")
    }
    guard let descr = literal.descr else {
      throw .badHeader(file: file, "arrays of structures are not supported")
    }
    guard let numpyType = NumpyDType(descr) else {
      let shown = String(
        descr.unicodeScalars.prefix(40).map { $0.value < 32 ? "?" : Character($0) })
      throw .badHeader(file: file, "arrays of dtype \"\(shown)\" are not supported")
    }
    dtype = numpyType.dtype
    isBigEndian = numpyType.isBigEndian
    shape = literal.shape
    isFortranOrder = literal.isFortranOrder
  }

  // MARK: - Dtypes

  /// Whether NumPy supports the dtype.
  package static func canHold(_ type: DType) -> Bool {
    NumpyDType.types.contains { $0.type == type }
  }

  // MARK: - Writing

  /// The bytes of the header as NumPy writes it, in version 1.0. The size is a multiple of 64.
  ///
  /// - Throws: `NumpyError.cannotWrite` for dtypes that NumPy does not support.
  package func bytes(key: String) throws(NumpyError) -> [UInt8] {
    guard let known = NumpyDType.types.first(where: { $0.type == dtype }) else {
      throw .cannotWrite(
        key: key, "numpy has no dtype for \(dtype.name)",
        hint: "\(.convert(to: "float32")) makes one that numpy has")
    }
    let order = dtype.byteCount == 1 ? "|" : isBigEndian ? ">" : "<"
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text =
      "{'descr': '\(order)\(known.descr)', 'fortran_order': \(isFortranOrder ? "True" : "False"), "
      + "'shape': (\(sizes)), }"
    // NumPy reserves space for a larger size of the dimension along which an array may grow.
    if let growing = isFortranOrder ? shape.last : shape.first {
      text += String(repeating: " ", count: max(0, 21 - String(growing).count))
    }
    let padding = 64 - (10 + text.utf8.count + 1) % 64
    text += String(repeating: " ", count: padding) + "\n"
    let length = text.utf8.count
    guard length <= 0xFFFF else {
      throw .cannotWrite(key: key, "the tensor has too many dimensions", hint: nil)
    }
    return Self.magic + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + Array(text.utf8)
  }

  // MARK: - Tensors

  /// The tensor with the elements in `source`.
  ///
  /// - Parameter file: the file's name for error messages.
  /// - Throws: `NumpyError.cutOff` if there are too few bytes; `TensorError`.
  package func tensor(_ source: ByteSource, name: String, file: String) throws -> Tensor {
    var count = 1
    for size in shape {
      let (next, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow else { throw TensorError.tooLarge }
      count = next
    }
    guard let needed = dtype.byteCount(ofElements: count) else { throw TensorError.tooLarge }
    guard needed <= source.byteCount else {
      throw NumpyError.cutOff(file: file, needed: needed, available: source.byteCount)
    }
    var source = source
    if isBigEndian {
      source = .computed(ByteSwapped(source, width: dtype.componentByteCount))
    }
    var strides: [Int]?
    if isFortranOrder {
      guard let reversed = Tensor.contiguousStrides(for: shape.reversed()) else {
        throw TensorError.tooLarge
      }
      strides = reversed.reversed()
    }
    return try Tensor(
      storage: Storage(source, name: name), dtype: dtype, shape: shape,
      strides: strides)
  }
}
