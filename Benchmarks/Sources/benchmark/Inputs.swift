import Foundation
import StateDictKit

/// Checkpoints to measure with.
enum Inputs {
  /// Makes a checkpoint like a network's: many small tensors, some large, a fifth of the bytes in `head`.
  ///
  /// - Parameter type: what the elements are; their values are finite, near 1, of both signs.
  static func makeCheckpoint(at path: String, bytes: Int, seed: UInt64, type: DType) throws {
    var stateDict = StateDict()
    var state = seed
    var made = 0
    var number = 0
    // Exponents near 1 in each element of eight bytes.
    let (mask, exponent): (UInt64, UInt64) =
      type == .float32
      ? (0x807F_FFFF_807F_FFFF, 0x3F00_0000_3F00_0000)
      : (0x807F_807F_807F_807F, 0x3F00_3F00_3F00_3F00)
    while made < bytes {
      let rows = number % 3 == 0 ? 1 : 1024
      let columns = 4096 / type.byteCount
      var data = [UInt8](repeating: 0, count: rows * 4096)
      data.withUnsafeMutableBytes { buffer in
        for index in stride(from: 0, to: buffer.count, by: 8) {
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          let bits = (state ^ state >> 29) & mask | exponent
          buffer.storeBytes(of: bits.littleEndian, toByteOffset: index, as: UInt64.self)
        }
      }
      let part = number % 5 == 4 ? "head" : "backbone"
      stateDict["module.\(part).layer\(number).weight"] = try Tensor(
        storage: Storage(bytes: data), dtype: type, shape: [rows, columns])
      made += data.count
      number += 1
    }
    try Checkpoint(stateDict).write(to: path, replacingExisting: true)
  }

  /// Makes a checkpoint of many tiny tensors.
  static func makeManyTensors(at path: String, count: Int) throws {
    var stateDict = StateDict()
    for number in 0..<count {
      stateDict["module.layer\(number / 10).part\(number % 10).weight"] = try Tensor(
        [Float(number), 1, 2, 3], shape: [2, 2])
    }
    try Checkpoint(stateDict).write(to: path, replacingExisting: true)
  }

  /// The inputs are made in a process of its own: a child's peak begins at its parent's.
  static func make(_ arguments: [String]) throws {
    guard arguments.count == 4, let size = Int(arguments[2]) else {
      throw Failure(description: "usage: make KIND PATH SIZE SEED")
    }
    let seed = UInt64(arguments[3]) ?? 0
    switch arguments[0] {
    case "many": try makeManyTensors(at: arguments[1], count: size)
    case let name:
      guard let type = DType(name: name) else {
        throw Failure(description: "no kind of input is called \(name)")
      }
      try makeCheckpoint(at: arguments[1], bytes: size, seed: seed, type: type)
    }
  }
}

extension Context {
  /// The path of a checkpoint of random numbers; made once.
  func checkpoint(_ type: String, seed: Int, bytes: Int? = nil) throws -> String {
    try input(type, "\(type)-\(seed).pt", size: bytes ?? megabytes * 1_000_000, seed: seed)
  }

  /// The path of an input; made once.
  func input(_ kind: String, _ name: String, size: Int, seed: Int = 0) throws -> String {
    let path = file(name)
    if !FileManager.default.fileExists(atPath: path) {
      _ = try run([CommandLine.arguments[0], "make", kind, path, "\(size)", "\(seed)"])
    }
    return path
  }
}
