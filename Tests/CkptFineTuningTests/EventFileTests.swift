import CkptBytes
import FineTuning
import Testing

struct EventFileTests {
  // RFC 3720, appendix B.4.
  @Test func `CRC-32C is that of the examples in RFC 3720`() {
    #expect(Checksum.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(Checksum.crc32c([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(Checksum.crc32c(UInt8(0)..<32) == 0x46DD_794E)
    #expect(Checksum.crc32c((UInt8(0)..<32).reversed()) == 0x113F_DB5C)
    #expect(Checksum.crc32c([]) == 0)
  }

  /// The events of a file whose checksums are right, each as its message's bytes.
  private func records(_ bytes: [UInt8]) throws -> [ArraySlice<UInt8>] {
    func masked(_ bytes: ArraySlice<UInt8>) -> UInt32 {
      let checksum = Checksum.crc32c(bytes)
      return (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
    }
    var records: [ArraySlice<UInt8>] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let length = rest.prefix(8)
      let count = try #require(Int(exactly: UInt64(littleEndian: length)))
      #expect(UInt32(littleEndian: rest.dropFirst(8).prefix(4)) == masked(length))
      let message = rest.dropFirst(12).prefix(count)
      try #require(message.count == count && rest.count >= count + 16)
      #expect(UInt32(littleEndian: rest.dropFirst(12 + count).prefix(4)) == masked(message))
      records.append(message)
      rest = rest.dropFirst(16 + count)
    }
    return records
  }

  /// What `tensorboard.compat.proto.event_pb2.Event(wall_time=2.5, step=300, summary=Summary(value=[…]))` gives by
  /// `SerializeToString()` (tensorboard 2.21, protobuf 7.36) for one epoch with one parameter group.
  private let eventOfTensorBoard: [UInt8] = [
    0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x40, 0x10, 0xAC, 0x02, 0x2A, 0x63, 0x0A, 0x11,
    0x0A, 0x0A, 0x6C, 0x6F, 0x73, 0x73, 0x2F, 0x74, 0x72, 0x61, 0x69, 0x6E, 0x15, 0x00, 0x00, 0x00,
    0x3F, 0x0A, 0x0F, 0x0A, 0x08, 0x6C, 0x6F, 0x73, 0x73, 0x2F, 0x76, 0x61, 0x6C, 0x15, 0x00, 0x00,
    0x80, 0x7F, 0x0A, 0x14, 0x0A, 0x0D, 0x61, 0x63, 0x63, 0x75, 0x72, 0x61, 0x63, 0x79, 0x2F, 0x74,
    0x6F, 0x70, 0x31, 0x15, 0x00, 0x00, 0x40, 0x3F, 0x0A, 0x14, 0x0A, 0x0D, 0x61, 0x63, 0x63, 0x75,
    0x72, 0x61, 0x63, 0x79, 0x2F, 0x74, 0x6F, 0x70, 0x35, 0x15, 0x00, 0x00, 0x80, 0x3F, 0x0A, 0x11,
    0x0A, 0x0A, 0x6C, 0x72, 0x2F, 0x67, 0x72, 0x6F, 0x75, 0x70, 0x5F, 0x30, 0x15, 0x6F, 0x12, 0x83,
    0x3A,
  ]

  @Test func `An epoch is the event that TensorBoard's own classes make`() throws {
    let metrics = EpochMetrics(
      epoch: 300, seconds: 1.5, trainLoss: 0.5, validationLoss: .infinity, top1: 0.75, top5: 1,
      learningRates: [0.001])
    let found = try records(EventFile(metrics: [metrics], startedAt: 1).bytes)
    #expect(found.count == 2)
    // Field 1, float64 1; field 3, 13 bytes.
    #expect(
      found.first.map(Array.init)
        == [0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x1A, 13] + Array("brain.Event:2".utf8))
    #expect(found.last.map(Array.init) == eventOfTensorBoard)
  }

  @Test func `A file of more epochs begins with that of fewer`() {
    let metrics = RunFigures.metrics(5)
    let whole = EventFile(metrics: metrics, startedAt: 1_700_000_000).bytes
    let start = EventFile(metrics: Array(metrics.prefix(3)), startedAt: 1_700_000_000).bytes
    #expect(whole.starts(with: start) && start.count < whole.count)
  }

  @Test func `The name is one that TensorBoard looks for, in one folder`() {
    let name = EventFile(metrics: [], startedAt: 1_700_000_000.75).name
    #expect(name.hasPrefix("events.out.tfevents.1700000000."))
    #expect(!name.hasSuffix(".") && !name.contains("/") && !name.contains(" "))
  }
}
