internal import CkptText
internal import CkptNumpy
internal import CkptPickle
internal import CkptBytes
internal import CkptPlatform
internal import CkptTensors

/// The value of a NumPy scalar.
enum NumpyScalar {
  case bool(Bool)
  case int(Int64)
  /// An unsigned integer that exceeds 63 bits.
  case large(UInt64)
  case float(Double)
  case complex(Double, Double)
  case text(String)
  case bytes([UInt8])

  /// The value as printed by Python.
  var description: String {
    switch self {
    case .bool(let value): value ? "True" : "False"
    case .int(let value): "\(value)"
    case .large(let value): "\(value)"
    case .float(let value): "\(value)"
    case .complex(let real, let imaginary):
      "\(real)\(imaginary.sign == .minus ? "" : "+")\(imaginary)j"
    case .text(let text): Text.quoted(text)
    case .bytes(let bytes): "\(bytes.count) bytes"
    }
  }
}

extension NumpyObjects {
  /// The value of `numpy.core.multiarray.scalar(dtype, bytes)`; nil for dtypes without a plain
  /// value in Python.
  func scalar(_ ref: Ref) -> NumpyScalar? {
    guard let body = graph.body(of: ref), case .reduce(let callable, let tuple) = body.construction,
      let global = graph.global(callable), Self.isNumpys("scalar", global), body.edits.isEmpty,
      let arguments = graph.items(of: tuple).map(Array.init), arguments.count == 2,
      graph.outside(arguments[1]) == nil,
      let source = bytes(arguments[1], byteCount: 0), source.byteCount <= 1 << 16,
      let bytes = try? source.allBytes()
    else { return nil }
    if let numpyType = numpyType(arguments[0]) { return Self.number(bytes, numpyType) }
    return text(bytes, arguments[0])
  }

  private static func number(_ bytes: [UInt8], _ numpyType: NumpyDType) -> NumpyScalar? {
    let type = numpyType.dtype
    guard bytes.count == type.byteCount else { return nil }
    let width = type.componentByteCount
    let parts = stride(from: 0, to: bytes.count, by: width).map { start in
      let part = bytes[start..<start + width]
      return (numpyType.isBigEndian ? Array(part) : part.reversed()).reduce(UInt64(0)) {
        $0 << 8 | UInt64($1)
      }
    }
    guard let bits = parts.first else { return nil }
    func float(_ bits: UInt64) -> Double {
      switch width {
      case 2: Tensor.double(fromHalf: UInt16(truncatingIfNeeded: bits))
      case 4: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
      default: Double(bitPattern: bits)
      }
    }
    switch type {
    case .float16, .float32, .float64: return .float(float(bits))
    case .complex64, .complex128: return .complex(float(bits), float(parts[1]))
    case .bfloat16:
      return .float(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits) << 16)))
    case .bool: return .bool(bits != 0)
    case .uint8, .uint16, .uint32, .uint64:
      return Int64(exactly: bits).map { .int($0) } ?? .large(bits)
    case .int8, .int16, .int32, .int64:
      let unused = UInt64(64 - 8 * width)
      return .int(Int64(bitPattern: bits << unused) >> Int64(unused))
    default: return nil
    }
  }

  /// A NumPy string with 32 bits per character, or bytes; both without trailing zeros.
  private func text(_ bytes: [UInt8], _ numpyType: Ref) -> NumpyScalar? {
    guard let body = graph.body(of: numpyType), case .reduce(_, let tuple) = body.construction,
      graph.className(of: numpyType) == "numpy.dtype", let first = graph.items(of: tuple)?.first,
      let code = graph.text(first), let kind = code.first, code.dropFirst().allSatisfy(\.isNumber),
      body.edits.count == 1, case .build(let state) = body.edits[0],
      let order = graph.items(of: state)?.dropFirst().first.flatMap(graph.text)
    else { return nil }
    switch kind {
    case "S": return .bytes(Array(bytes[..<((bytes.lastIndex { $0 != 0 } ?? -1) + 1)]))
    case "U":
      guard bytes.count.isMultiple(of: 4) else { return nil }
      var result = String.UnicodeScalarView()
      for start in stride(from: 0, to: bytes.count, by: 4) {
        let part = bytes[start..<start + 4]
        let value = (order == ">" ? Array(part) : part.reversed()).reduce(UInt32(0)) {
          $0 << 8 | UInt32($1)
        }
        guard let scalar = Unicode.Scalar(value) else { return nil }
        result.append(scalar)
      }
      while result.last?.value == 0 { result.removeLast() }
      return .text(String(result))
    default: return nil
    }
  }
}
