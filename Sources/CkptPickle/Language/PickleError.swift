public import CkptPlatform

/// Why a pickle cannot be read or written. Offsets count bytes from the start of the pickle.
public enum PickleError: Diagnostic, Equatable {
  /// The pickle ends where more was announced.
  case endsEarly(offset: Int)
  /// A byte stands for no opcode.
  case unknownOpcode(byte: UInt8, offset: Int)
  /// An opcode that needs data from outside the pickle.
  case unsupported(what: String, offset: Int)
  /// An opcode takes more objects than there are.
  case stackUnderflow(offset: Int)
  /// A length leads beyond the pickle's end.
  case lengthTooLarge(length: UInt64, left: Int, offset: Int)
  /// An object is mentioned by a memo number that was never given.
  case unknownMemo(index: UInt64, offset: Int)
  /// An opcode's data make no sense.
  case malformed(what: String, offset: Int)
  /// Objects nest deeper than `limit`.
  case nestingTooDeep(limit: Int)
  /// The pickle is larger than the graph can number.
  case tooLarge(byteCount: Int)
  /// More bytes were left in a file than a pickle can take in memory.
  case tooMuchOutside(byteCount: Int, limit: Int)
  /// An object cannot be written.
  case cannotEncode(what: String)

  /// All of these are faults of the input.
  public var kind: DiagnosticKind { .badInput }

  /// What is wrong and where in the pickle.
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
