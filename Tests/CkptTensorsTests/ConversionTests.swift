import CkptPlatform
import Foundation
import CkptBytes
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Conversions of elements")
struct ConversionTests {
  /// What `fixtures/conversions.py` wrote down of PyTorch's `to(dtype)`.
  struct Case: Decodable, CustomTestStringConvertible {
    let from, to, sha256: String
    let input: String?
    var testDescription: String { "\(from) to \(to)" }
  }

  static let cases = (try? Fixtures.decode([Case].self, from: "conversions/pytorch.json")) ?? []

  static let inputs = Dictionary(
    uniqueKeysWithValues: Set(cases.map(\.from)).compactMap { name in
      DType(name: name).map { ($0, patterns($0)) }
    })

  /// The bits that `fixtures/conversions.py` gives to PyTorch.
  static func patterns(_ type: DType) -> [UInt8] {
    let width = type.componentByteCount
    func bytes(_ bits: UInt64) -> [UInt8] {
      (0..<width).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt64($0))) }
    }
    if type == .bool { return (0..<256).map { UInt8($0 % 2) } }
    if width == 1 { return Array(0...255) }
    if width == 2 { return Array(0...UInt16.max).withUnsafeBytes { Array($0) } }
    var random = SeededRandom(type.name.count)
    return (0..<8192).flatMap { index in
      var bits = random.next()
      if type.isFloat, index < 4096 {
        let fraction: UInt64 = width == 8 ? 52 : 23
        let bias: UInt64 = width == 8 ? 1023 : 127
        let sign = (bits >> 63) << UInt64(8 * width - 1)
        bits = bits & (1 << fraction - 1) | (bias - 40 + (bits >> 53) % 110) << fraction | sign
      }
      return bytes(bits)
    }
  }

  static func bytes(hex: String) -> [UInt8] {
    let digits = Array(hex.utf8)
    return stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
    }
  }

  static func convert(_ bytes: [UInt8], _ conversion: ElementConversion) -> [UInt8] {
    let count = bytes.count / conversion.source.byteCount
    return bytes.withRawSpan { source in
      [UInt8](byteCount: count * conversion.target.byteCount) {
        conversion.convert(from: source, to: &$0)
      }
    }
  }

  @Test("Every pattern becomes what PyTorch's to(dtype) makes of it", arguments: cases)
  func asPyTorch(item: Case) throws {
    let source = try #require(DType(name: item.from))
    let target = try #require(DType(name: item.to))
    let input = item.input.map(Self.bytes(hex:)) ?? Self.inputs[source] ?? []
    let conversion = try ElementConversion(from: source, to: target)
    #expect(sha256(Self.convert(input, conversion)) == item.sha256)
  }

  @Test("Bytes that are not aligned become the same")
  func unaligned() throws {
    for (source, target) in [(DType.bfloat16, DType.float32), (.float64, .float16)] {
      let conversion = try ElementConversion(from: source, to: target)
      let input = Array((Self.inputs[source] ?? [])[..<8000])
      let expected = Self.convert(input, conversion)
      let output = ([0] + input).withRawSpan { from in
        [UInt8](byteCount: expected.count + 1) { to in
          var part = to._mutatingExtracting(1...)
          conversion.convert(from: from.extracting(1...), to: &part)
        }
      }
      #expect(Array(output[1...]) == expected)
    }
  }

  @Test("There is a case for every pair of types that are plain numbers")
  func complete() {
    let plain = DType.allCases.filter {
      ElementConversion.isSupported(from: .float32, to: $0)
    }
    #expect(plain.count == 21)
    #expect(Self.cases.count == 21 * 21)
  }

  @Test("Quantized and packed elements are not converted, unless to themselves")
  func refused() throws {
    #expect(throws: TensorError.noConversion(from: .qint8, to: .float32)) {
      try ElementConversion(from: .qint8, to: .float32)
    }
    #expect(
      message(of: TensorError.self) { try ElementConversion(from: .float32, to: .float4E2M1FNx2) }
        == "elements of type float32 cannot be converted to float4_e2m1fn_x2")
    #expect(
      try Self.convert([1, 2, 3], ElementConversion(from: .quint8, to: .quint8)) == [1, 2, 3])
  }

  @Test("What a conversion loses is counted")
  func losses() throws {
    func count(_ values: [Double], _ target: DType) throws -> [Int] {
      let tally = ConversionTally()
      let tensor = try Tensor(values, shape: [values.count]).converting(
        to: target, countingInto: tally)
      _ = try tensor.contiguousBytes()
      return [tally.losses.overflowed, tally.losses.vanished]
    }
    #expect(
      try count([65519, 65520, -1e9, .infinity, .nan, 1e-9, -1e-9, 0, 1], .float16) == [2, 2])
    #expect(try count([448, 463, 464, 1e9, .infinity, 1e-9], .float8E4M3FN) == [2, 1])
    #expect(try count([1e300, 1e-300, 3], .float32) == [1, 1])
    #expect(try count([1.5, 0.25, -0.5, 127, 128, -129, .nan, 0], .int8) == [3, 2])
    #expect(try count([1e300, 1e-300], .float64) == [0, 0])
    #expect(try count([2, 0.1], .bool) == [0, 0])
  }

  @Test("Converted tensors give the same bytes from any place on")
  func anyPlace() throws {
    let values = (0..<10_000).map { Float($0) / 3 }
    let tensor = try Tensor(values, shape: [100, 100]).converting(to: .bfloat16)
    let whole = try tensor.contiguousBytes()
    #expect(whole.count == 20_000)
    for start in [0, 1, 2, 7999, 8191, 8192, 8193, 19_999] {
      #expect(try tensor.storage.bytes(in: start..<20_000) == Array(whole[start...]))
    }
    #expect(tensor.shape == [100, 100])
    #expect(
      try tensor.converting(to: .float32).floats()[300] == 100)
  }

  @Test("Tensors that share a storage share the converted one, with their strides")
  func ties() throws {
    let storage = Storage(bytes: (0..<48).map { UInt8($0) })
    let first = try Tensor(storage: storage, dtype: .int16, shape: [4, 6])
    let second = try Tensor(
      storage: storage, dtype: .int16, shape: [3, 2], strides: [1, 6], offset: 2)
    var converter = TensorConverter(to: .float32)
    let (one, two) = (try converter.convert(first), try converter.convert(second))
    #expect(one.storage === two.storage)
    #expect(two.strides == [1, 6])
    #expect(
      try two.contiguousBytes() == second.converting(to: .float32).contiguousBytes())
    #expect(try converter.convert(one).storage === one.storage)
  }

  @Test("Conjugate and negative views are resolved")
  func views() throws {
    let parts: [Float] = [1, 2, -3, 4]
    let bytes = try Tensor(parts, shape: [4]).contiguousBytes()
    var complex = try Tensor(storage: Storage(bytes: bytes), dtype: .complex64, shape: [2])
    complex.isConjugate = true
    let wide = try complex.converting(to: .complex128)
    let reread = try Tensor(storage: wide.storage, dtype: .float64, shape: [4])
    #expect(try reread.converting(to: .float32).floats() == [1, -2, -3, -4])
    var negative = try Tensor(parts, shape: [4])
    negative.isNegative = true
    #expect(
      try negative.converting(to: .float64).converting(to: .float32).floats() == [-1, -2, 3, -4])
    #expect(try negative.converting(to: .float32).floats() == [-1, -2, 3, -4])
    var integers = try Tensor([1, -256, 70_000] as [Int64], shape: [3])
    integers.isNegative = true
    #expect(try integers.converting(to: .float32).floats() == [-1, 256, -70_000])
  }
}
