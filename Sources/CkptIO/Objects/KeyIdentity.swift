internal import CkptBytes
internal import CkptPickle
internal import CkptPlatform

/// The identity of a dict's key under Python's `==`: `1`, `True`, and `1.0` are the same key; `"1"`
/// and `b"1"` are others.
enum KeyIdentity: Hashable {
  /// A str; one written by Python 2 is read as UTF-8, as in `torch.load`.
  case text([UInt8])
  case bytes([UInt8])
  /// A number with an integer value.
  case whole(Int64)
  /// An int that exceeds 64 bits, in minimal two's complement, little-endian.
  case large([UInt8])
  /// The bits of a float that is not an integer, or exceeds 64 bits.
  case float(UInt64)
  case none
  case name([UInt8])
  /// The identities of a tuple's items.
  case tuple([KeyIdentity])
  case open(Int)
  /// An object that is equal only to itself, as far as can be determined without running code.
  case object(UInt32)
}

extension PickleGraph {
  /// The maximum number of tuple items in a key that are compared.
  private static let keyLimit = 1000

  /// The identity of a key.
  func keyIdentity(_ ref: Ref) -> KeyIdentity {
    guard items(of: ref) != nil else { return plainKeyIdentity(ref) }
    var found: [KeyIdentity] = []
    var open = [ref]
    while let next = open.popLast() {
      guard found.count + open.count < Self.keyLimit else { return .object(ref.index) }
      if let items = items(of: next) {
        found.append(.open(items.count))
        open += items.reversed()
      } else {
        found.append(plainKeyIdentity(next))
      }
    }
    return .tuple(found)
  }

  private func plainKeyIdentity(_ ref: Ref) -> KeyIdentity {
    switch self[ref] {
    case .string(let run), .byteString(let run): return .text(Array(bytes(run)))
    case .bytes(let run): return .bytes(Array(bytes(run)))
    case .int(let value): return .whole(value)
    case .bool(let value): return .whole(value ? 1 : 0)
    case .bigInt(let run): return .large(Array(bytes(run)))
    case .none: return .none
    case .float(let bits):
      let value = Double(bitPattern: bits)
      if let whole = Int64(exactly: value) { return .whole(whole) }
      // A NaN is not equal to any number; as a key it is found by object identity.
      return value.isNaN ? .object(ref.index) : .float(bits)
    case .global:
      guard let (module, name) = nameBytes(ref) else { return .object(ref.index) }
      return .name(Array(bytes(module)) + [0x0A] + Array(bytes(name)))
    default: return .object(ref.index)
    }
  }

  /// The entries of the dict that results from the assignments in order: a key that is set again
  /// keeps its position and gets the new value.
  func unique(_ entries: [(key: Ref, value: Ref)]) -> [(key: Ref, value: Ref)] {
    guard mayRepeat(entries) else { return entries }
    var positions: [KeyIdentity: Int] = [:]
    var result: [(key: Ref, value: Ref)] = []
    result.reserveCapacity(entries.count)
    for entry in entries {
      let identity = keyIdentity(entry.key)
      if let position = positions[identity] {
        result[position].value = entry.value
      } else {
        positions[identity] = result.count
        result.append(entry)
      }
    }
    return result
  }

  /// Whether two keys may be equal; a cheap check, since they rarely are.
  private func mayRepeat(_ entries: [(key: Ref, value: Ref)]) -> Bool {
    guard entries.count > 1 else { return false }
    var hashes: [UInt64] = []
    hashes.reserveCapacity(entries.count)
    for (key, _) in entries {
      switch self[key] {
      case .string(let run), .byteString(let run):
        // FNV-1a. After a collision, the keys are compared exactly.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes(run) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hashes.append(hash)
      default: hashes.append(UInt64(truncatingIfNeeded: keyIdentity(key).hashValue))
      }
    }
    hashes.sort()
    return zip(hashes, hashes.dropFirst()).contains { $0 == $1 }
  }
}
