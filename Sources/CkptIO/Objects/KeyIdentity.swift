internal import CkptBytes
internal import CkptPickle
internal import CkptPlatform

/// What Python's `==` sees of a key of a dict: `1`, `True` and `1.0` are one key, `"1"` and `b"1"` are others.
enum KeyIdentity: Hashable {
  /// A str; Python 2's is read as UTF-8, as `torch.load` does.
  case text([UInt8])
  case bytes([UInt8])
  /// A number that is whole.
  case whole(Int64)
  /// An int beyond 64 bits: two's complement, little-endian, no byte more than needed.
  case large([UInt8])
  /// The bits of a float that is not whole, or beyond 64 bits.
  case float(UInt64)
  case none
  case name([UInt8])
  /// A tuple of so many items, followed by theirs.
  case tuple([KeyIdentity])
  case open(Int)
  /// An object that is equal to itself alone, as far as can be known without running its code.
  case object(UInt32)
}

extension PickleGraph {
  /// How many items of tuples a key may have to be compared item by item.
  private static let keyLimit = 1000

  /// What two keys are compared by.
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
      // A NaN is equal to nothing; as a key it is found by its identity.
      return value.isNaN ? .object(ref.index) : .float(bits)
    case .global:
      guard let (module, name) = nameBytes(ref) else { return .object(ref.index) }
      return .name(Array(bytes(module)) + [0x0A] + Array(bytes(name)))
    default: return .object(ref.index)
    }
  }

  /// Python's dict of those assignments: a key that is set again keeps its place and gets the new value.
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

  /// Whether two keys could be equal: cheap, since nearly always none are.
  private func mayRepeat(_ entries: [(key: Ref, value: Ref)]) -> Bool {
    guard entries.count > 1 else { return false }
    var hashes: [UInt64] = []
    hashes.reserveCapacity(entries.count)
    for (key, _) in entries {
      switch self[key] {
      case .string(let run), .byteString(let run):
        // FNV-1a; a collision only costs the exact comparison.
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
