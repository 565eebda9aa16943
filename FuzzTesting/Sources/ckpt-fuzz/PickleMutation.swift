/// Changes a pickle by whole opcodes: removes, repeats, moves, and inserts them, and changes their
/// arguments.
enum PickleMutation {
  static func run(_ bytes: inout [UInt8], _ random: inout Random) {
    var opcodes = split(bytes)
    guard !opcodes.isEmpty else { return }
    for _ in 0...random.below(3) {
      let position = random.below(opcodes.count)
      let other = random.below(opcodes.count)
      switch random.below(7) {
      case 0: opcodes.remove(at: position)
      case 1: opcodes.insert(opcodes[other], at: position)
      case 2: opcodes.swapAt(position, other)
      case 3: opcodes.insert(created(&random), at: position)
      case 4: opcodes[position] = created(&random)
      case 5:
        // Several in a row, such as a tensor.
        let end = min(opcodes.count, other + random.below(20))
        opcodes.insert(contentsOf: opcodes[min(other, end)..<end], at: position)
      default:
        guard opcodes[position].count > 1 else { continue }
        let at = 1 + random.below(opcodes[position].count - 1)
        opcodes[position][at] = edges[random.below(edges.count)]
      }
      if opcodes.isEmpty { opcodes.append([0x2E]) }
    }
    bytes = Array(opcodes.joined())
  }

  /// Bytes near which numbers behave differently.
  private static let edges: [UInt8] = [0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF, 0x2D, 0x30, 0x0A]

  /// The bytes of each opcode with its argument. What is not understood stays together.
  private static func split(_ bytes: [UInt8]) -> [[UInt8]] {
    var opcodes: [[UInt8]] = []
    var position = 0
    while position < bytes.count {
      let count = min(byteCount(bytes, position), bytes.count - position)
      opcodes.append(Array(bytes[position..<position + count]))
      position += count
    }
    return opcodes
  }

  private static func byteCount(_ bytes: [UInt8], _ position: Int) -> Int {
    func counted(_ size: Int) -> Int {
      var length = 0
      for index in 0..<size where position + 1 + index < bytes.count {
        length |= Int(bytes[position + 1 + index]) << (8 * index)
      }
      return 1 + size + min(max(length, 0), bytes.count)
    }
    func lines(_ count: Int) -> Int {
      var end = position + 1
      for _ in 0..<count {
        while end < bytes.count, bytes[end] != 10 { end += 1 }
        end += 1
      }
      return end - position
    }
    switch bytes[position] {
    case 0x4B, 0x68, 0x71, 0x80, 0x82: return 2
    case 0x4D, 0x83: return 3
    case 0x4A, 0x6A, 0x72, 0x84: return 5
    case 0x47, 0x95: return 9
    case 0x46, 0x49, 0x4C, 0x53, 0x56, 0x67, 0x70, 0x50: return lines(1)
    case 0x63, 0x69: return lines(2)
    case 0x55, 0x43, 0x8C, 0x8A: return counted(1)
    case 0x58, 0x42, 0x54, 0x8B: return counted(4)
    case 0x8D, 0x8E, 0x96: return counted(7) + 1
    default: return 1
    }
  }

  /// A new opcode with an argument.
  private static func created(_ random: inout Random) -> [UInt8] {
    let plain =
      Array("()]}.0125NbeldsautoRQ".utf8) + [0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8F]
      + [0x90, 0x91, 0x92, 0x93, 0x94, 0x97, 0x98]
    switch random.below(6) {
    case 0: return [0x4B, edges[random.below(edges.count)]]
    case 1:
      return [0x8A, 8] + (0..<8).map { _ in edges[random.below(edges.count)] }
    case 2: return [0x4A] + (0..<4).map { _ in edges[random.below(edges.count)] }
    case 3: return [random.below(2) == 0 ? 0x68 : 0x71, UInt8(random.below(40))]
    case 4: return Array(("c" + names[random.below(names.count)] + "\n").utf8)
    default: return [plain[random.below(plain.count)]]
    }
  }

  private static let names = [
    "torch._utils\n_rebuild_tensor", "torch._utils\n_rebuild_tensor_v2",
    "torch._utils\n_rebuild_tensor_v3", "torch._utils\n_rebuild_parameter",
    "torch._utils\n_rebuild_parameter_with_state", "torch._utils\n_rebuild_qtensor",
    "torch._utils\n_rebuild_meta_tensor_no_storage", "torch._utils\n_rebuild_sparse_tensor",
    "torch._tensor\n_rebuild_from_type_v2", "torch\nFloatStorage", "torch\nQUInt4x2Storage",
    "torch\nComplexFloatStorage", "torch.storage\nUntypedStorage", "torch\nfloat32",
    "torch\ncomplex64", "torch\nquint4x2", "torch\nper_channel_affine",
    "torch\nper_tensor_affine", "torch\nper_channel_affine_float_qparams", "torch\nSize",
    "collections\nOrderedDict", "collections\nCounter", "collections\ndefaultdict",
    "numpy._core.multiarray\n_reconstruct", "numpy._core.numeric\n_frombuffer",
    "numpy.core.multiarray\nscalar", "numpy\nndarray", "numpy\ndtype", "_codecs\nencode",
    "builtins\nset", "builtins\nbytearray", "copyreg\n_reconstructor",
    "torch.distributed.tensor\nDTensor",
  ]
}
