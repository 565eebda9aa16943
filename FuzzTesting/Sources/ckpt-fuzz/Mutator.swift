internal import CLibFuzzer

/// Makes the fuzzer's changes fit the format, so that they get past its first checks.
struct Mutator {
  /// Changes bytes in the format's own units, before the fuzzer's changes; nil for none.
  var restructure: ((inout [UInt8], inout Random) -> Void)?
  /// Sets checksums, lengths, and offsets to what the bytes now need; nil for nothing.
  var repair: ((inout [UInt8]) -> Void)?

  /// The mutator of a target; nil for texts and formats without redundancy.
  static func of(target: String) -> Mutator? {
    switch target {
    case "zip", "npz", "verify", "checkpoint": Mutator(repair: Repair.zip)
    case "pickle", "tensors", "distributed", "deepspeed", "legacy":
      Mutator(restructure: PickleMutation.run)
    case "tar": Mutator(repair: Repair.tar)
    case "safetensors": Mutator(repair: Repair.safetensors)
    case "npy": Mutator(repair: Repair.npy)
    case "image": Mutator(repair: Repair.png)
    default: nil
    }
  }

  /// Changes `size` bytes of `data`; returns the new size.
  func run(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ limit: Int, _ seed: UInt32) -> Int {
    var random = Random(state: UInt64(seed))
    var bytes: [UInt8]
    if let restructure, random.below(2) == 0 {
      bytes = Array(UnsafeBufferPointer(start: data, count: size))
      restructure(&bytes, &random)
    } else {
      let size = LLVMFuzzerMutate(data, size, limit)
      bytes = Array(UnsafeBufferPointer(start: data, count: size))
    }
    // What the readers do with wrong checksums and lengths is tested, too.
    if let repair, random.below(8) != 0 { repair(&bytes) }
    let count = min(bytes.count, limit)
    for position in 0..<count { data[position] = bytes[position] }
    return count
  }
}

/// libFuzzer calls this in place of its own mutations.
@_cdecl("LLVMFuzzerCustomMutator")
func customMutator(
  _ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ limit: Int, _ seed: UInt32
) -> Int {
  guard let mutator else { return LLVMFuzzerMutate(data, size, limit) }
  return mutator.run(data, size, limit, seed)
}

/// A repeatable source of random numbers (SplitMix64).
struct Random {
  var state: UInt64

  /// A number from 0 to `limit` - 1.
  mutating func below(_ limit: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return Int(truncatingIfNeeded: (mixed ^ mixed >> 31) >> 1) % max(limit, 1)
  }
}
