public import CkptPlatform

/// An error in reading or writing a pickle. Offsets are in bytes from the start of the pickle.
public enum PickleError: Diagnostic, Equatable {
  /// The pickle ends in the middle of an opcode or before STOP.
  case endsEarly(offset: Int)
  /// A byte is not an opcode.
  case unknownOpcode(byte: UInt8, offset: Int)
  /// An opcode is not supported, because it needs data from outside the pickle.
  case unsupported(what: String, offset: Int)
  /// An opcode pops more objects than the stack has.
  case stackUnderflow(offset: Int)
  /// A length exceeds the number of bytes left.
  case lengthTooLarge(length: UInt64, left: Int, offset: Int)
  /// An opcode refers to a memo number that was not assigned.
  case unknownMemo(index: UInt64, offset: Int)
  /// The data of an opcode is invalid.
  case malformed(what: String, offset: Int)
  /// Objects are nested more than `limit` levels deep.
  case nestingTooDeep(limit: Int)
  /// The pickle exceeds the limit of its size.
  case tooLarge(byteCount: Int)
  /// A compressed pickle has more objects than its compressed bytes may describe.
  case tooManyObjects(limit: Int)
  /// The data that was left in files exceeds the limit for encoding in memory.
  case tooMuchOutside(byteCount: Int, limit: Int)
  /// An object cannot be encoded.
  case cannotEncode(what: String)

  /// The category of the error: always bad input.
  public var kind: DiagnosticKind { .badInput }

  /// The place of the error.
  public var context: ErrorContext {
    switch self {
    case .endsEarly(let offset), .unknownOpcode(_, let offset), .unsupported(_, let offset),
      .stackUnderflow(let offset), .lengthTooLarge(_, _, let offset),
      .unknownMemo(_, let offset), .malformed(_, let offset):
      ErrorContext(offset: offset)
    default: ErrorContext()
    }
  }

  /// One line that says what is wrong and where in the pickle.
  public var description: String {
    switch self {
    case .endsEarly(let offset): "the pickle ends early (byte \(offset))"
    case .unknownOpcode(let byte, let offset):
      "no pickle: unknown opcode 0x\(String(byte, radix: 16)) (byte \(offset))"
    case .unsupported(let what, let offset): "unsupported in a pickle: \(what) (byte \(offset))"
    case .stackUnderflow(let offset):
      "damaged pickle: an opcode takes more than there is (byte \(offset))"
    case .lengthTooLarge(let length, let left, let offset):
      "damaged pickle: a length of \(length) bytes where \(left) are left (byte \(offset))"
    case .unknownMemo(let index, let offset):
      "damaged pickle: object \(index) is mentioned before it is there (byte \(offset))"
    case .malformed(let what, let offset): "damaged pickle: \(what) (byte \(offset))"
    case .nestingTooDeep(let limit): "objects nest deeper than \(limit) levels"
    case .tooLarge(let byteCount): "a pickle of \(byteCount) bytes is too large to be read"
    case .tooManyObjects(let limit):
      "the pickle has more than \(limit) objects, far more than its compressed bytes should hold"
    case .tooMuchOutside(let byteCount, let limit):
      "\(byteCount) bytes of arrays would become a part of the pickle, which takes \(limit) at most"
    case .cannotEncode(let what): "\(what) cannot be written to a pickle"
    }
  }

  /// What the caller can do about the error.
  public var remedies: [Remedy] {
    switch self {
    case .endsEarly: ["the file was probably cut off; fetch it again"]
    default: []
    }
  }
}

extension PickleError {
  /// The error for an opcode or argument that is partly outside of its frame.
  static func crossesFrame(at offset: Int) -> PickleError {
    .malformed(what: "an argument crosses the end of its frame", offset: offset)
  }
}
