internal import CkptBytes
internal import CkptPlatform

/// The event file of a run for TensorBoard, with the metrics of all epochs as scalars.
///
/// The scalars are `loss/train`, `loss/val`, `accuracy/top1`, `accuracy/top5`, and `lr/group_0` and
/// so on. A step of TensorBoard is an epoch.
public struct EventFile: Sendable, Hashable {
  /// The metrics of the epochs, in order.
  public var metrics: [EpochMetrics]
  /// The time when the run began, in seconds since 1970.
  public var startedAt: Double

  /// Creates the event file of a run that began `startedAt` seconds after 1970.
  public init(metrics: [EpochMetrics], startedAt: Double) {
    self.metrics = metrics
    self.startedAt = startedAt
  }

  /// The name of the file, `events.out.tfevents.TIME.HOST`, where TIME is the time when the run
  /// began.
  public var name: String {
    let host = String(
      Host.name.unicodeScalars.map { scalar in
        let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || "0"..."9" ~= scalar)
        return isPlain || scalar == "-" || scalar == "." ? Character(scalar) : "_"
      })
    let time = Int64(saturating: startedAt)
    return "events.out.tfevents.\(time).\(host.isEmpty ? "localhost" : host)"
  }

  /// The contents of the file: a record with the version of the format, and a record for each epoch
  /// with the time of its end.
  public var bytes: [UInt8] {
    var version = event(at: startedAt)
    version.append("brain.Event:2", field: 3)
    var records = Self.record(version)
    var time = startedAt
    for epoch in metrics {
      if epoch.seconds.isFinite { time += epoch.seconds }
      var message = event(at: time)
      message.append(Int64(epoch.epoch), field: 2)
      message.append(Self.summary(of: epoch), field: 5)
      records += Self.record(message)
    }
    return records
  }

  // The numbers of the fields are from tensorflow/core/util/event.proto and
  // tensorflow/core/framework/summary.proto.

  private func event(at time: Double) -> ProtobufMessage {
    var event = ProtobufMessage()
    event.append(time, field: 1)
    return event
  }

  private static func summary(of epoch: EpochMetrics) -> ProtobufMessage {
    let scalars =
      [
        ("loss/train", epoch.trainLoss), ("loss/val", epoch.validationLoss),
        ("accuracy/top1", epoch.top1), ("accuracy/top5", epoch.top5),
      ] + epoch.learningRates.enumerated().map { ("lr/group_\($0.offset)", $0.element) }
    var summary = ProtobufMessage()
    for (tag, number) in scalars {
      var value = ProtobufMessage()
      value.append(tag, field: 1)
      value.append(Float(number), field: 2)
      summary.append(value, field: 1)
    }
    return summary
  }

  /// A record in TensorFlow's format: the number of bytes, its checksum, the bytes, their checksum.
  private static func record(_ message: ProtobufMessage) -> [UInt8] {
    let count = UInt64(message.bytes.count).littleEndianBytes
    return count + maskedChecksum(of: count).littleEndianBytes + message.bytes
      + maskedChecksum(of: message.bytes).littleEndianBytes
  }

  /// TensorFlow's masked CRC-32C: rotated by 15 bits, plus a constant.
  private static func maskedChecksum(of bytes: [UInt8]) -> UInt32 {
    let checksum = Checksum.crc32c(bytes)
    return (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
  }
}
