/// Dequantizes `count` blocks to float32.
typealias BlockKernel =
  @Sendable (
    _ blocks: RawSpan, _ numbers: inout MutableSpan<Float>, _ count: Int
  ) -> Void

/// Dequantization of the block types.
///
/// The layouts are those of ggml-common.h. Products are computed and rounded in the order of ggml's
/// `dequantize_row_*`, so that the results are identical bit for bit.
enum BlockKernels {
  static func kernel(for type: GGUFType) -> BlockKernel? {
    switch type {
    case .q4_0: { run($0, &$1, $2, 18, 32, q4_0) }
    case .q4_1: { run($0, &$1, $2, 20, 32, q4_1) }
    case .q5_0: { run($0, &$1, $2, 22, 32, q5_0) }
    case .q5_1: { run($0, &$1, $2, 24, 32, q5_1) }
    case .q8_0: { run($0, &$1, $2, 34, 32, q8_0) }
    case .q2_K: { run($0, &$1, $2, 84, 256, q2_K) }
    case .q3_K: { run($0, &$1, $2, 110, 256, q3_K) }
    case .q4_K: { run($0, &$1, $2, 144, 256, q4_K) }
    case .q5_K: { run($0, &$1, $2, 176, 256, q5_K) }
    case .q6_K: { run($0, &$1, $2, 210, 256, q6_K) }
    default: nil
    }
  }

  private typealias Block = UnsafePointer<UInt8>
  private typealias Output = UnsafeMutablePointer<Float>

  /// Checks the buffers' bounds for all kernels; each kernel stays within its block.
  @inline(__always)
  private static func run(
    _ blocks: RawSpan, _ numbers: inout MutableSpan<Float>, _ count: Int, _ byteCount: Int,
    _ elementCount: Int, _ kernel: (Block, Output) -> Void
  ) {
    precondition(blocks.byteCount >= count * byteCount && numbers.count >= count * elementCount)
    blocks.withUnsafeBytes { blocks in
      numbers.withUnsafeMutableBufferPointer { numbers in
        guard count > 0, let input = blocks.bindMemory(to: UInt8.self).baseAddress,
          let output = numbers.baseAddress
        else { return }
        for index in 0..<count {
          kernel(input + index * byteCount, output + index * elementCount)
        }
      }
    }
  }

  /// The float16 at the start of `bytes`.
  @inline(__always)
  private static func half(_ bytes: Block) -> Float {
    let bits = UInt32(bytes[0]) | UInt32(bytes[1]) << 8
    let sign = (bits & 0x8000) << 16
    let exponent = bits >> 10 & 31
    let fraction = bits & 0x3FF
    if exponent == 0 {
      let value = Float(fraction) * 0x1p-24
      return Float(bitPattern: value.bitPattern | sign)
    }
    let wide = exponent == 31 ? 255 : exponent &+ 112
    return Float(bitPattern: sign | wide << 23 | fraction << 13)
  }

  // MARK: - Blocks of 32

  @inline(__always)
  private static func q4_0(_ block: Block, _ output: Output) {
    let scale = half(block)
    for index in 0..<16 {
      let byte = block[2 &+ index]
      output[index] = scale * Float(Int32(byte & 15) &- 8)
      output[16 &+ index] = scale * Float(Int32(byte >> 4) &- 8)
    }
  }

  @inline(__always)
  private static func q4_1(_ block: Block, _ output: Output) {
    let (scale, least) = (half(block), half(block + 2))
    for index in 0..<16 {
      let byte = block[4 &+ index]
      output[index] = scale * Float(Int32(byte & 15)) + least
      output[16 &+ index] = scale * Float(Int32(byte >> 4)) + least
    }
  }

  /// The fifth bits of the 32 numbers of a block.
  @inline(__always)
  private static func bits(_ bytes: Block) -> UInt32 {
    UInt32(bytes[0]) | UInt32(bytes[1]) << 8 | UInt32(bytes[2]) << 16 | UInt32(bytes[3]) << 24
  }

  @inline(__always)
  private static func q5_0(_ block: Block, _ output: Output) {
    let (scale, high) = (half(block), bits(block + 2))
    for index in 0..<16 {
      let byte = UInt32(block[6 &+ index])
      let shift = UInt32(truncatingIfNeeded: index)
      let low = byte & 15 | (high &>> shift & 1) << 4
      let top = byte >> 4 | (high &>> (shift &+ 16) & 1) << 4
      output[index] = scale * Float(Int32(bitPattern: low) &- 16)
      output[16 &+ index] = scale * Float(Int32(bitPattern: top) &- 16)
    }
  }

  @inline(__always)
  private static func q5_1(_ block: Block, _ output: Output) {
    let (scale, least, high) = (half(block), half(block + 2), bits(block + 4))
    for index in 0..<16 {
      let byte = UInt32(block[8 &+ index])
      let shift = UInt32(truncatingIfNeeded: index)
      let low = byte & 15 | (high &>> shift & 1) << 4
      let top = byte >> 4 | (high &>> (shift &+ 16) & 1) << 4
      output[index] = scale * Float(Int32(bitPattern: low)) + least
      output[16 &+ index] = scale * Float(Int32(bitPattern: top)) + least
    }
  }

  @inline(__always)
  private static func q8_0(_ block: Block, _ output: Output) {
    let scale = half(block)
    for index in 0..<32 {
      output[index] = scale * Float(Int32(Int8(bitPattern: block[2 &+ index])))
    }
  }

  // MARK: - Blocks of 256

  /// Block: 16 scales and 16 minima of 4 bits, 256 numbers of 2 bits, and the factors of the scales
  /// and the minima.
  @inline(__always)
  private static func q2_K(_ block: Block, _ output: Output) {
    let (scale, least) = (half(block + 80), half(block + 82))
    for group in 0..<16 {
      let byte = block[group]
      let (own, below) = (scale * Float(Int32(byte & 15)), least * Float(Int32(byte >> 4)))
      // The groups of 16 numbers are consecutive; each 128 numbers share 32 bytes, with two bits of
      // each number.
      let bytes = block + 16 + group / 8 * 32 + group % 2 * 16
      let shift = UInt8(truncatingIfNeeded: group % 8 / 2 * 2)
      for index in 0..<16 {
        let number = bytes[index] &>> shift & 3
        output[group &* 16 &+ index] = own * Float(Int32(number)) - below
      }
    }
  }

  /// Block: 256 third bits, 256 numbers of 2 bits, 16 scales of 6 bits, and the factor of the
  /// scales.
  @inline(__always)
  private static func q3_K(_ block: Block, _ output: Output) {
    let scale = half(block + 108)
    let packed = block + 96
    for group in 0..<16 {
      let low = packed[group % 8] >> (group < 8 ? 0 : 4) & 15
      let high = packed[8 + group % 4] >> UInt8(truncatingIfNeeded: group / 4 * 2) & 3
      let own = scale * Float(Int32(low | high << 4) - 32)
      let bytes = block + 32 + group / 8 * 32 + group % 2 * 16
      let shift = UInt8(truncatingIfNeeded: group % 8 / 2 * 2)
      let mask = block + group % 2 * 16
      let bit = UInt8(truncatingIfNeeded: group / 2)
      for index in 0..<16 {
        // If the third bit is not set, 4 is subtracted.
        let number =
          Int32(bytes[index] &>> shift & 3) &- Int32((~mask[index] &>> bit & 1) &<< 2)
        output[group &* 16 &+ index] = own * Float(number)
      }
    }
  }

  /// The 6-bit scale and minimum of each 32 numbers in a `Q4_K` or `Q5_K` block.
  @inline(__always)
  private static func scaleAndMinimum(_ packed: Block, _ group: Int) -> (Float, Float) {
    if group < 4 {
      return (Float(Int32(packed[group] & 63)), Float(Int32(packed[group + 4] & 63)))
    }
    let scale = packed[group + 4] & 15 | (packed[group - 4] >> 6) << 4
    let least = packed[group + 4] >> 4 | (packed[group] >> 6) << 4
    return (Float(Int32(scale)), Float(Int32(least)))
  }

  @inline(__always)
  private static func q4_K(_ block: Block, _ output: Output) {
    let (scale, least) = (half(block), half(block + 2))
    for group in 0..<8 {
      let (factor, minimum) = scaleAndMinimum(block + 4, group)
      let (own, below) = (scale * factor, least * minimum)
      let bytes = block + 16 + group / 2 * 32
      let shift: UInt8 = group % 2 == 0 ? 0 : 4
      for index in 0..<32 {
        output[group &* 32 &+ index] = own * Float(Int32(bytes[index] &>> shift & 15)) - below
      }
    }
  }

  @inline(__always)
  private static func q5_K(_ block: Block, _ output: Output) {
    let (scale, least) = (half(block), half(block + 2))
    for group in 0..<8 {
      let (factor, minimum) = scaleAndMinimum(block + 4, group)
      let (own, below) = (scale * factor, least * minimum)
      let (high, bytes) = (block + 16, block + 48 + group / 2 * 32)
      let shift: UInt8 = group % 2 == 0 ? 0 : 4
      let bit = UInt8(truncatingIfNeeded: group)
      for index in 0..<32 {
        let number = bytes[index] &>> shift & 15 | (high[index] &>> bit & 1) &<< 4
        output[group &* 32 &+ index] = own * Float(Int32(number)) - below
      }
    }
  }

  /// Block: 256 numbers of 4 and 2 bits, 16 signed scales of 8 bits, and the factor of the scales.
  @inline(__always)
  private static func q6_K(_ block: Block, _ output: Output) {
    let scale = half(block + 208)
    for group in 0..<16 {
      let own = scale * Float(Int32(Int8(bitPattern: block[192 + group])))
      let (part, within) = (group / 8, group % 8)
      let low = block + part * 64 + within / 2 % 2 * 32 + within % 2 * 16
      let high = block + 128 + part * 32 + within % 2 * 16
      let (lowShift, highShift) = (
        UInt8(truncatingIfNeeded: within / 4 * 4), UInt8(truncatingIfNeeded: within / 2 * 2)
      )
      for index in 0..<16 {
        let number = low[index] &>> lowShift & 15 | (high[index] &>> highShift & 3) &<< 4
        output[group &* 16 &+ index] = own * Float(Int32(number) &- 32)
      }
    }
  }
}
