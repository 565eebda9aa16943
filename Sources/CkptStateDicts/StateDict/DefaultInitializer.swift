internal import Foundation
internal import CkptBytes
internal import CkptTensors

/// Gives layers the values that PyTorch gives them by default (`reset_parameters` of `Linear`,
/// `Conv2d`, and the norm layers), from one generator, in the order in which they are asked for.
struct DefaultInitializer {
  private let base: StateDict
  private var random: TorchRandom

  init(_ base: StateDict, seed: UInt64) {
    self.base = base
    random = TorchRandom(seed: seed)
  }

  /// Fresh values for `key`, of the shape and type of `wanted`.
  ///
  /// - Throws: `ResizeError.impossible` for what is no weight or bias of a known layer.
  mutating func tensor(for key: String, like wanted: Tensor) throws -> Tensor {
    guard wanted.elementCount <= 1 << 33 else {
      throw ResizeError.impossible(key: key, "more elements than are initialized")
    }
    let dot = key.lastIndex(of: ".").map { key.index(after: $0) } ?? key.startIndex
    let (module, name) = (key[..<dot], key[dot...])
    let weight = base[module + "weight"]
    let fanIn = weight.flatMap { weight in
      weight.shape.count < 2 || weight.isMeta ? nil : weight.elementCount / max(weight.shape[0], 1)
    }
    var fresh: Tensor
    switch (name, fanIn) {
    case ("weight", let fanIn?):
      // init.kaiming_uniform_(weight, a=math.sqrt(5))
      let gain = (2 / (1 + pow(Double(5).squareRoot(), 2))).squareRoot()
      let bound = Double(3).squareRoot() * (gain / Double(max(fanIn, 1)).squareRoot())
      fresh = try uniform(fanIn == 0 ? 0 : bound, wanted.shape)
    case ("bias", let fanIn?):
      fresh = try uniform(fanIn == 0 ? 0 : 1 / Double(fanIn).squareRoot(), wanted.shape)
    case ("weight", nil) where wanted.shape.count == 1, ("running_var", _):
      fresh = try Self.constant(1, wanted.shape)
    case ("bias", nil) where weight?.shape.count == 1, ("running_mean", _),
      ("num_batches_tracked", _):
      fresh = try Self.constant(0, wanted.shape)
    default:
      throw ResizeError.impossible(
        key: key, "reinit knows weights and biases of linear, convolution and norm layers")
    }
    if wanted.dtype != .float32 { fresh = try fresh.converting(to: wanted.dtype) }
    fresh.isParameter = wanted.isParameter
    fresh.requiresGrad = wanted.requiresGrad
    return fresh
  }

  private mutating func uniform(_ bound: Double, _ shape: [Int]) throws -> Tensor {
    let count = shape.reduce(1, *)
    let start = random
    random.skip(count)
    let bytes = UniformFloats(random: start, bound: Float(bound), count: count)
    return try Tensor(storage: Storage(.computed(bytes)), dtype: .float32, shape: shape)
  }

  private static func constant(_ value: Float, _ shape: [Int]) throws -> Tensor {
    let one = try Tensor([value], shape: [1])
    // One number, expanded; the writer gets the elements of a tensor of its own.
    let expanded = try Tensor(
      storage: one.storage, dtype: .float32, shape: shape, strides: shape.map { _ in 0 })
    return try Tensor(
      storage: Storage(expanded.contiguousSource()), dtype: .float32, shape: shape)
  }
}

/// The elements of `tensor.uniform_(-bound, bound)`, computed on demand.
private struct UniformFloats: ComputedBytes {
  let random: TorchRandom
  let bound: Float
  let count: Int

  var byteCount: Int { count * 4 }
  var isRandomAccess: Bool { false }

  func makeReader(at offset: Int) throws -> any ByteReader {
    Reader(random: random, bound: bound)
  }

  private final class Reader: ByteReader {
    var random: TorchRandom
    let bound: Float
    /// The bytes of the last number, and how many of them have been returned.
    var bits: UInt32 = 0
    var used = 4

    init(random: TorchRandom, bound: Float) {
      self.random = random
      self.bound = bound
    }

    func read(into bytes: inout MutableRawSpan) throws {
      for offset in bytes.byteOffsets {
        if used == 4 {
          bits = random.uniform(-bound, bound).bitPattern
          used = 0
        }
        bytes.storeBytes(
          of: UInt8(truncatingIfNeeded: bits >> (8 * UInt32(used))), toByteOffset: offset,
          as: UInt8.self)
        used += 1
      }
    }
  }
}
