import CkptNumpy
import CkptBytes
import CkptTensors
import CkptTestSupport
import Testing

@Suite("Headers of numpy's arrays")
struct NumpyHeaderTests {
  private func header(_ text: String, version: UInt8 = 1) throws -> NumpyHeader {
    let bytes = Array(text.utf8)
    var all = NumpyHeader.magic + [version, 0, UInt8(bytes.count & 255), UInt8(bytes.count >> 8)]
    if version > 1 { all += [0, 0] }
    all += bytes
    let count = try NumpyHeader.byteCount(of: Array(all.prefix(12)), file: "x.npy")
    #expect(count == all.count)
    return try NumpyHeader(all, file: "x.npy")
  }

  @Test("A dict of three entries is understood, however it is spaced and whoever wrote it")
  func good() throws {
    let wanted = NumpyHeader(dtype: .float32, shape: [2, 3])
    for text in [
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n",
      "{'shape':(2,3),'descr':'<f4','fortran_order':False}\n",
      "{\"descr\": \"<f4\", \"shape\": (2L, 3L), \"fortran_order\": False}",
      "{'descr': '=f4', 'fortran_order': False, 'shape': (2, 3,)}",
    ] {
      #expect(try header(text) == wanted)
      #expect(try header(text, version: 2) == wanted)
      #expect(try header(text, version: 3) == wanted)
    }
    let big = try header("{'descr': '>c16', 'fortran_order': True, 'shape': (7,), }")
    #expect(big.isBigEndian && big.isFortranOrder && big.dtype == .complex128)
    #expect(big.shape == [7])
    #expect(try header("{'descr': '|b1', 'fortran_order': False, 'shape': (), }").shape == [])
  }

  @Test(
    "Anything else is refused",
    arguments: [
      "", "{", "{}", "[]", "{'descr': '<f4'}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 3)}",
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} + 1",
      "{'descr': '<f4\\x00', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '<U3', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': '<f16', 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': [('a', '<f4'), ('b', '<i2')], 'fortran_order': False, 'shape': (2, 3)}",
      "{'descr': [[[[[[[[", "{'descr': '<f4', 'fortran_order': False, 'shape': ((((",
    ])
  func bad(text: String) {
    #expect(throws: NumpyError.self) { try header(text) }
  }

  @Test("Lengths and versions that lie are refused before anything is allocated")
  func lengths() {
    let start = NumpyHeader.magic
    for bytes in [
      [], start, start + [1, 0, 5], start + [4, 0, 1, 0, 0, 0], start + [1, 1, 1, 0, 0, 0],
      start + [2, 0, 255, 255, 255, 255], start + [3, 0, 0, 0, 16, 0],
    ] {
      #expect(throws: NumpyError.self) { try NumpyHeader.byteCount(of: bytes, file: "x") }
    }
  }

  @Test("Bytes changed anywhere lead to an error or a header, never a crash")
  func changed() throws {
    var random = SeededRandom(5)
    let good = try NumpyHeader(dtype: .int16, shape: [3, 4, 5]).bytes(key: "x")
    for _ in 0..<3000 {
      var bytes = good
      for _ in 0...Int.random(in: 0...3, using: &random) {
        bytes[Int.random(in: bytes.indices, using: &random)] = UInt8(
          truncatingIfNeeded: random.next())
      }
      do {
        let count = try NumpyHeader.byteCount(of: Array(bytes.prefix(12)), file: "x")
        let header = try NumpyHeader(Array(bytes.prefix(count)), file: "x")
        _ = try header.tensor(.bytes([UInt8](repeating: 0, count: 120)), name: "x", file: "x")
      } catch is NumpyError {} catch is TensorError {}
    }
  }

  @Test("What numpy has no dtype for cannot be written")
  func unwritable() {
    for type in [DType.bfloat16, .float8E4M3FN, .complex32, .quint8] {
      #expect(throws: NumpyError.self) {
        try NumpyHeader(dtype: type, shape: [1]).bytes(key: "x")
      }
    }
  }
}
