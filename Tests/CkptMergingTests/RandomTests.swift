import CCkptKernels
import Testing

@Suite("Random numbers")
struct RandomTests {
  @Test("They are Philox4x32-10's, as its authors publish them")
  func published() {
    var numbers = [UInt32](repeating: 0, count: 4)
    ck_random(&numbers, 0, 0, 0, 4)
    #expect(numbers == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8])
  }

  @Test("A number does not depend on the block that it is made in")
  func blocks() {
    let start: UInt64 = 0x3_FFFF_FFF0
    var whole = [UInt32](repeating: 0, count: 1000)
    ck_random(&whole, start, 7, 99, 1000)
    for (index, count) in [(0, 5), (4, 64), (32, 33), (996, 4), (500, 1)] {
      var part = [UInt32](repeating: 0, count: count)
      ck_random(&part, start + UInt64(index), 7, 99, count)
      #expect(part == Array(whole[index..<index + count]))
    }
    #expect(Set(whole).count > 990)
  }
}
